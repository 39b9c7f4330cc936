import type { BackupReport } from '../../backends/contract/backup.ts';
import { bytes, counted } from './human.ts';

/** Summarizes what a copy contains. */
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

/** Lists what could not be copied. */
export function unreadableLines({ unreadable = [] }: BackupReport): string[] {
  return unreadable.map(
    ({ kind, id }) => `not copied because it cannot be read: ${kind} ${JSON.stringify(id)}`,
  );
}
