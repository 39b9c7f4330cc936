import type { Writable } from 'node:stream';
import { fileError } from '../messages/file-error.ts';

/**
 * Thrown by {@link Output} when the reader of standard output has gone (`varve ls | head`): a quiet
 * end, not a failure.
 */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/** Standard output with backpressure. Its failures are errors with which a command can end. */
export class Output {
  readonly #stream: Writable;
  /** Called before every write, so that a status line can be cleared first. */
  onWrite: () => void = () => {};
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure ??=
        error.code === 'EPIPE'
          ? new ReaderGone('standard output was closed')
          : fileError('standard output', error);
    });
  }

  async write(chunk: Uint8Array | string): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.onWrite();
    if (this.#stream.write(chunk)) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        this.#stream.off('drain', settle).off('error', settle);
        resolve();
      };
      this.#stream.on('drain', settle).on('error', settle);
    });
    if (this.#failure) throw this.#failure;
  }

  async line(text: string): Promise<void> {
    await this.write(`${text}\n`);
  }

  /** Resolves once everything written has left the process. */
  async finish(): Promise<void> {
    if (!this.#failure)
      await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
    if (this.#failure) throw this.#failure;
  }
}
