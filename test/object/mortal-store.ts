import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  StoredObject,
} from '../../src/backends/storage/object-store.ts';
import type { AbortOptions } from '../../src/core/abort.ts';

/**
 * A process's way to the objects, which ends with the process, after so many requests: whoever asks
 * then waits for ever.
 */
export class MortalStore implements ObjectStore {
  readonly location: string;
  /** Resolves when the process dies. */
  readonly death: Promise<void>;
  readonly #objects: ObjectStore;
  #left: number;
  #die: () => void = () => {};

  constructor(objects: ObjectStore, requests: number) {
    this.location = objects.location;
    this.#objects = objects;
    this.#left = requests;
    this.death = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  get(key: string, options?: AbortOptions): Promise<StoredObject | undefined> {
    return this.#ask(() => this.#objects.get(key, options));
  }

  head(key: string, options?: AbortOptions): Promise<ObjectHead | undefined> {
    return this.#ask(() => this.#objects.head(key, options));
  }

  put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: AbortOptions,
  ): Promise<PutResult> {
    return this.#ask(() => this.#objects.put(key, body, condition, options));
  }

  delete(keys: readonly string[], options?: AbortOptions): Promise<void> {
    return this.#ask(() => this.#objects.delete(keys, options));
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.#ask(() => this.#objects.list(prefix, options));
  }

  async close(): Promise<void> {}

  #ask<Answer>(request: () => Promise<Answer>): Promise<Answer> {
    if (this.#left-- > 0) return request();
    this.#die();
    return new Promise(() => {});
  }
}
