import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { VarveError } from '../../core/errors.ts';
import { fileError } from '../messages/file-error.ts';

/**
 * A file that receives a command's output. It appears under its name, complete and flushed to the
 * medium, when `commit` is called; a command that fails half-way leaves the previous file. A name
 * that is not a regular file (a pipe, a device) is written directly.
 */
export class Destination {
  readonly #path: string;
  readonly #writtenTo: string;
  readonly #file: FileHandle;

  private constructor(path: string, writtenTo: string, file: FileHandle) {
    this.#path = path;
    this.#writtenTo = writtenTo;
    this.#file = file;
  }

  /** @throws `NOT_FOUND`, `DENIED`, `IO` when the file cannot be created. */
  static async open(path: string): Promise<Destination> {
    const existing = await stat(path).catch(() => undefined);
    if (existing?.isDirectory())
      throw new VarveError('INVALID_ARGUMENT', `${path}: is a directory`);
    const direct = existing !== undefined && !existing.isFile();
    const writtenTo = direct ? path : `${path}.${randomBytes(4).toString('hex')}.partial`;
    try {
      return new Destination(path, writtenTo, await open(writtenTo, direct ? 'w' : 'wx'));
    } catch (error) {
      throw fileError(path, error);
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      await this.#file.writeFile(chunk);
    } catch (error) {
      throw fileError(this.#path, error);
    }
  }

  async commit(): Promise<void> {
    try {
      if (this.#writtenTo !== this.#path) await this.#file.datasync();
      await this.#file.close();
      if (this.#writtenTo !== this.#path) await rename(this.#writtenTo, this.#path);
    } catch (error) {
      throw fileError(this.#path, error);
    }
  }

  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    if (this.#writtenTo !== this.#path) await rm(this.#writtenTo, { force: true });
  }
}
