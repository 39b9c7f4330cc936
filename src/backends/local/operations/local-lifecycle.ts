import { toVarveError } from '../../../core/system/system-error.ts';
import { Lifecycle } from '../../contract/lifecycle.ts';

/** The life of an open store in a directory. */
export class LocalLifecycle extends Lifecycle {
  /** The directory. */
  readonly root: string;

  constructor(root: string, isWritable: boolean, signal: AbortSignal | undefined) {
    super(root, isWritable, signal);
    this.root = root;
  }

  /**
   * As {@link Lifecycle.run}, with errors of the system and of SQLite as those of the store.
   *
   * @param what for their messages: `auditing`.
   */
  async doing<Result>(what: string, work: () => Result | Promise<Result>): Promise<Result> {
    try {
      return await this.run(work);
    } catch (cause) {
      throw toVarveError(cause, `${what} the store at ${this.root}`);
    }
  }
}
