import { type LocalStoreOptions, localStoreKinds } from './backends/local/local-options.ts';
import { type ObjectStoreOptions, objectStoreKinds } from './backends/object/object-options.ts';
import type { OnEvent } from './core/events.ts';
import type { OptionKinds } from './core/options/option-kinds.ts';
import { declareOptions } from './core/options/options.ts';

export type { LocalStoreOptions, ObjectStoreOptions };

/** How a store is opened. */
export interface OpenOptions {
  /** Create the store if there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean | undefined;
  /** Never write; works on a read-only medium. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** For a store in a directory. */
  readonly local?: LocalStoreOptions | undefined;
  /** For a store of objects. */
  readonly objects?: ObjectStoreOptions | undefined;
  /**
   * Receives warnings about what does not keep the store from working, but may harm it: a bucket's
   * lifecycle rules. Default: ignored.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  /**
   * Receives events: retried requests, and the progress of imports, exports, collections, audits,
   * prunes and backups. An error that it throws is an uncaught exception. Default: ignored.
   */
  readonly onEvent?: OnEvent | undefined;
  /**
   * Once it fires, opening the store and everything done with it ends within a second with
   * `ABORTED`, and closing the store waits for nothing; what was under way on objects is left to
   * its lease. Default: nothing ends it.
   */
  readonly signal?: AbortSignal | undefined;
}

export const OPEN_OPTIONS = declareOptions<OpenOptions>()({
  members: (is: OptionKinds) => ({
    create: is.flag,
    readOnly: is.flag,
    onWarning: is.callback<NonNullable<OpenOptions['onWarning']>>(),
    onEvent: is.callback<OnEvent>(),
    signal: is.signal,
    objects: is.group(objectStoreKinds(is)),
    local: is.group(localStoreKinds(is)),
  }),
});
