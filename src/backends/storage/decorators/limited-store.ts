import pLimit, { type LimitFunction } from 'p-limit';
import { throwIfAborted } from '../../../core/abort.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';

/** Bounds the requests under way; the others wait for their turn, or until their signal fires. */
export class LimitedStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #limit: LimitFunction;

  constructor(store: ObjectStore, concurrency: number) {
    this.location = store.location;
    this.#store = store;
    this.#limit = pLimit(concurrency);
  }

  get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    return this.#run(options, () => this.#store.get(key, options));
  }

  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.#run(options, () => this.#store.head(key, options));
  }

  put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    return this.#run(options, () => this.#store.put(key, body, condition, options));
  }

  delete(keys: readonly string[], options?: RequestOptions): Promise<void> {
    return this.#run(options, () => this.#store.delete(keys, options));
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.#run(options, () => this.#store.list(prefix, options));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #run<Result>(
    { signal }: RequestOptions = {},
    request: () => Promise<Result>,
  ): Promise<Result> {
    if (signal === undefined) return this.#limit(request);
    throwIfAborted(signal);
    let leave = (): void => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
    });
    signal.addEventListener('abort', leave, { once: true });
    const turn = this.#limit(() => {
      // From now on the request itself obeys the signal, and knows what became of it.
      signal.removeEventListener('abort', leave);
      throwIfAborted(signal);
      return request();
    });
    try {
      return await Promise.race([turn, left]);
    } catch (error) {
      // The turn that nobody waits for any more ends with the same error.
      turn.catch(() => {});
      if (error === signal.reason) throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }
}
