import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isVarveError, VarveError } from '../errors.ts';
import { toVarveError } from '../system/system-error.ts';

/** What has to stay free for others on the disk, in bytes. */
const LEFT_FREE = 64 * 1024 * 1024;

/** How to get more room, for messages. */
const ADVICE = 'free some, or name another folder (temporaryFolder, TMPDIR)';

/** Folders in use: one listener removes whatever is left of them when the process exits. */
const used = new Set<TemporaryFolder>();

function removeAll(): void {
  for (const folder of used) folder.remove();
}

/**
 * A folder for files that nobody needs afterwards. It is made when it is first used, for its owner
 * alone (0700), and removed with all that is in it, at the latest when the process exits.
 */
export class TemporaryFolder {
  readonly #parent: string;
  #path: string | undefined;

  /** @param parent where it is made. Default: the folder of the system, `TMPDIR`. */
  constructor(parent: string = tmpdir()) {
    this.#parent = parent;
  }

  /** The path of a file in it. */
  file(name: string): string {
    if (this.#path === undefined) {
      this.#path = this.use(() => mkdtempSync(join(this.#parent, 'varve-')));
      if (used.size === 0) process.once('exit', removeAll);
      used.add(this);
    }
    return join(this.#path, name);
  }

  /** @throws `NO_SPACE` unless the disk has room for these bytes, and for some of others. */
  assertRoomFor(bytes: number): void {
    const { bavail, bsize } = this.use(() => statfsSync(this.#path ?? this.#parent));
    if (bavail * bsize >= bytes + LEFT_FREE) return;
    throw new VarveError('NO_SPACE', `${this.#what}: no space is left on the device: ${ADVICE}`);
  }

  /** Runs what uses the folder, with errors that name it. */
  use<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (cause) {
      const error = toVarveError(cause, this.#what);
      if (!isVarveError(error, 'NO_SPACE')) throw error;
      throw new VarveError('NO_SPACE', `${this.#what}: no space is left on the device: ${ADVICE}`, {
        cause,
      });
    }
  }

  remove(): void {
    if (this.#path === undefined) return;
    used.delete(this);
    if (used.size === 0) process.removeListener('exit', removeAll);
    rmSync(this.#path, { recursive: true, force: true });
    this.#path = undefined;
  }

  get #what(): string {
    return `working in the temporary folder ${this.#path ?? this.#parent}`;
  }
}
