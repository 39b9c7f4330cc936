import pLimit, { type LimitFunction } from 'p-limit';
import type { AbortOptions } from '../manifests.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  StoredObject,
} from './object-store.ts';

/** Bounds the requests under way; the others wait for their turn. */
export class LimitedStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #limit: LimitFunction;

  constructor(store: ObjectStore, concurrency: number) {
    this.location = store.location;
    this.#store = store;
    this.#limit = pLimit(concurrency);
  }

  get(key: string, options?: AbortOptions): Promise<StoredObject | undefined> {
    return this.#limit(() => this.#store.get(key, options));
  }

  head(key: string, options?: AbortOptions): Promise<ObjectHead | undefined> {
    return this.#limit(() => this.#store.head(key, options));
  }

  put(key: string, body: Uint8Array, condition: PutCondition, options?: AbortOptions): Promise<PutResult> {
    return this.#limit(() => this.#store.put(key, body, condition, options));
  }

  delete(keys: readonly string[], options?: AbortOptions): Promise<void> {
    return this.#limit(() => this.#store.delete(keys, options));
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.#limit(() => this.#store.list(prefix, options));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
