import { setImmediate as nextTurn } from 'node:timers/promises';
import { StoreDecorator } from '../../../src/backends/storage/decorators/store-decorator.ts';
import type { RequestOptions } from '../../../src/backends/storage/object-store.ts';

/**
 * A service whose requests take one unit of time each, as many at once as are sent. Time passes
 * only when the code under test does nothing but wait, so the time that work takes is the length of
 * the longest chain of requests that wait for one another, and the same in every run.
 */
export class DepthStore extends StoreDecorator {
  /** Units of time that have passed. */
  depth = 0;
  requests = 0;
  /** Keys of the objects that requests named. */
  readonly touched = new Set<string>();
  #arrived: (() => void)[] = [];
  #isTicking = false;

  protected override async around<Result>(
    { verb, keys }: { readonly verb: string; readonly keys: readonly string[] },
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    this.requests++;
    if (verb !== 'list') for (const key of keys) this.touched.add(key);
    await new Promise<void>((resolve) => {
      this.#arrived.push(resolve);
      if (!this.#isTicking) void this.#tick();
    });
    return send(options);
  }

  override async close(): Promise<void> {}

  async #tick(): Promise<void> {
    this.#isTicking = true;
    while (this.#arrived.length > 0) {
      // Twice, because some work gives way to others once in a while.
      await nextTurn();
      await nextTurn();
      const answered = this.#arrived;
      this.#arrived = [];
      this.depth++;
      for (const answer of answered) answer();
    }
    this.#isTicking = false;
  }
}
