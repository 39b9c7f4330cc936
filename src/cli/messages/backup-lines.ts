import type { BackupReport } from '../../backends/contract/maintenance.ts';
import { bytes, counted } from './human.ts';

/** What a copy holds. */
export function copyLine({
  packs,
  manifests = 0,
  bytes: total,
  copiedBytes,
  location,
}: BackupReport): string {
  const content = packs === undefined ? counted(manifests, 'manifest') : counted(packs, 'pack');
  const share =
    packs === undefined
      ? `${bytes(copiedBytes)} of content copied`
      : `${bytes(copiedBytes)} of it copied`;
  return `${content}, ${bytes(total)}, ${share}, in ${location}`;
}

/** What could not be copied. */
export function unreadableLines({ unreadable = [] }: BackupReport): string[] {
  return unreadable.map(
    ({ kind, id }) => `not copied, for it cannot be read: ${kind} ${JSON.stringify(id)}`,
  );
}
