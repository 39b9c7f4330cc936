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
import type { RequestMeter, RequestVerb } from '../request-meter.ts';

/**
 * Counts the calls of a store that sends one request for each. (The S3 store counts its requests
 * itself.)
 */
export class MeteredStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #meter: RequestMeter;

  constructor(store: ObjectStore, meter: RequestMeter) {
    this.location = store.location;
    this.#store = store;
    this.#meter = meter;
  }

  async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    const object = await this.#count('get', 0, () => this.#store.get(key, options));
    this.#meter.received(object?.body.length ?? 0);
    return object;
  }

  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.#count('head', 0, () => this.#store.head(key, options));
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const result = await this.#count('put', body.length, () =>
      this.#store.put(key, body, condition, options),
    );
    if (result.outcome === 'refused') this.#meter.refused();
    if (result.outcome === 'unknown') this.#meter.failed();
    return result;
  }

  delete(keys: readonly string[], options?: RequestOptions): Promise<void> {
    return this.#count('delete', 0, () => this.#store.delete(keys, options));
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.#count('list', 0, () => this.#store.list(prefix, options));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #count<Result>(
    verb: RequestVerb,
    bytesUp: number,
    call: () => Promise<Result>,
  ): Promise<Result> {
    this.#meter.sent(verb, bytesUp);
    try {
      return await call();
    } catch (error) {
      this.#meter.failed();
      throw error;
    }
  }
}
