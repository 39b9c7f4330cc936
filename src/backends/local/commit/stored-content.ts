import type { NewEntry } from '../../contract/manifests.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';
import type { EntryWriter } from './entry-writer.ts';

/** Whether exactly these entries are what a manifest holds. Reads one body after the other. */
export function holdsEntries(
  { manifests }: LocalIndex,
  entries: EntryWriter,
  row: ManifestRow,
  given: readonly NewEntry[],
): boolean {
  const bodies = manifests.bodies(row);
  if (bodies.length !== given.length) return false;
  return bodies.every((id, number) => {
    const stored = entries.body(row, id);
    const { body, segments } = given[number] as NewEntry;
    return (
      stored.segments.length === segments.length &&
      Buffer.compare(stored.body, body) === 0 &&
      segments.every(({ address }, at) => entries.find(address) === stored.segments[at])
    );
  });
}

/** Whether two manifests hold the same entries. */
export function holdSameEntries(
  { manifests }: LocalIndex,
  entries: EntryWriter,
  a: ManifestRow,
  b: ManifestRow,
): boolean {
  const [bodiesOfA, bodiesOfB] = [manifests.bodies(a), manifests.bodies(b)];
  if (bodiesOfA.length !== bodiesOfB.length) return false;
  return bodiesOfA.every((id, number) => {
    const [first, second] = [entries.body(a, id), entries.body(b, bodiesOfB[number] as number)];
    return (
      Buffer.compare(first.body, second.body) === 0 &&
      first.segments.length === second.segments.length &&
      first.segments.every((segment, at) => segment === second.segments[at])
    );
  });
}
