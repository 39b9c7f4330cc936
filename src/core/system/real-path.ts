import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { VarveError } from '../errors.ts';

/** Resolves symbolic links for the part of a path that exists. */
function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(realPath(parent), basename(absolute));
  }
}

/**
 * Whether `path` is `folder` or lies in it, however either is spelled: compares folders by device
 * and inode.
 */
function isWithin(path: string, folder: string): boolean {
  const wanted = statSync(folder, { throwIfNoEntry: false });
  if (wanted === undefined) return false;
  for (let at = realPath(path); ; at = dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found?.ino === wanted.ino && found.dev === wanted.dev) return true;
    if (at === dirname(at)) return false;
  }
}

/**
 * @throws `INVALID_ARGUMENT` when one of two folders is the other or lies in it, because writing to
 *   one would then write into both.
 */
export function assertApart(target: string, source: string): void {
  const relation = isWithin(target, source)
    ? 'is inside'
    : isWithin(source, target)
      ? 'holds'
      : undefined;
  if (relation === undefined) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${target} ${relation} ${source}: name a folder elsewhere, best on another disk`,
  );
}
