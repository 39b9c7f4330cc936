import type { LogOperation, PutOperation } from './log-record.ts';

/** Sorting costs about two bytes for each row whose neighbour changes. */
const SORTED_SHARE = 0.8;

/**
 * Moves the first operation on each row to the front, sorted by id when similar ids lie scattered,
 * because they compress better side by side; the rest follows in its order. Operations on one row
 * stay in order, and different rows do not depend on one another.
 */
export function arranged(operations: readonly LogOperation[]): LogOperation[] {
  const known = new Set<number>();
  const first: PutOperation[] = [];
  const others: LogOperation[] = [];
  for (const operation of operations) {
    if (operation.type === 'put' && operation.dropped.length === 0 && !known.has(operation.row)) {
      first.push(operation);
    } else others.push(operation);
    known.add(operation.row);
  }
  const sorted = [...first].sort((a, b) => Buffer.compare(a.name, b.name));
  const isShorter = unsharedBytes(sorted) < unsharedBytes(first) * SORTED_SHARE;
  return [...(isShorter ? sorted : first), ...others];
}

/** Bytes of ids that differ from the beginning of the previous id. */
function unsharedBytes(puts: readonly PutOperation[]): number {
  let before = new Uint8Array(0);
  let bytes = 0;
  for (const { name } of puts) {
    bytes += name.length - sharedBytes(before, name);
    before = name as Uint8Array<ArrayBuffer>;
  }
  return bytes;
}

/** Length of the common prefix of two ids, in bytes. */
export function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length);
  let same = 0;
  while (same < most && a[same] === b[same]) same++;
  return same;
}
