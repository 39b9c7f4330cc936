import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import { listObjects, type ObservedStore } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { HINTS_PREFIX } from '../format/keys.ts';

/** The hints that a collection follows. Mostly there are few, and one request lists all of them. */
export class HintsAtOnce {
  readonly #observed: ObservedStore;
  readonly #abort: AbortOptions;
  #isAsked = false;
  /** All hints; `undefined` when they do not fit in one page, or are out of date. */
  #all: readonly ListedObject[] | undefined;

  constructor(observed: ObservedStore, signal: AbortSignal | undefined) {
    this.#observed = observed;
    this.#abort = abortOf(signal);
  }

  /** The hints below a prefix, in the order of their keys. */
  async *below(prefix: string): AsyncGenerator<ListedObject, void, undefined> {
    if (!this.#isAsked) await this.#ask();
    if (this.#all === undefined) yield* listObjects(this.#observed, prefix, this.#abort);
    else for (const hint of this.#all) if (hint.key.startsWith(prefix)) yield hint;
  }

  /** This collection has stored hints itself, which it follows as well. */
  outdate(): void {
    this.#isAsked = true;
    this.#all = undefined;
  }

  async #ask(): Promise<void> {
    const { store, serverClock } = this.#observed;
    const page = await store.list(HINTS_PREFIX, this.#abort);
    serverClock.observe(page.serverTime);
    this.#isAsked = true;
    if (!page.isTruncated) this.#all = page.objects;
  }
}
