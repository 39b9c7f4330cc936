import type { LogOperation, PutOperation } from './log-record.ts';

/** Sorting takes two bytes or so for each row whose neighbour is another one then. */
const SORTED_SHARE = 0.8;

/**
 * Puts what comes first for its row first, sorted by id where ids that are alike lie scattered,
 * because they compress better side by side; then the rest in its order. What concerns one row
 * stays in order, and different rows do not depend on one another.
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

/** Bytes of ids that are not shared with the beginning of the id before. */
function unsharedBytes(puts: readonly PutOperation[]): number {
  let before = new Uint8Array(0);
  let bytes = 0;
  for (const { name } of puts) {
    bytes += name.length - sharedBytes(before, name);
    before = name as Uint8Array<ArrayBuffer>;
  }
  return bytes;
}

/** How many bytes two ids have in common at their beginning. */
export function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length);
  let same = 0;
  while (same < most && a[same] === b[same]) same++;
  return same;
}
