import { isVarveError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/system/clock.ts';
import { type Call, throwIfOver } from '../call.ts';
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

/** Whether the service answered when it was last asked. Shared by all calls of an open store. */
export interface Link {
  isDown: boolean;
}

/**
 * Objects as one call sees them: every request is bounded by the call, unless it is given bounds of
 * its own.
 */
export class BoundedStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #call: Call;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #link: Link;

  constructor(
    store: ObjectStore,
    call: Call,
    clock: Pick<Clock, 'monotonic'>,
    link: Link = { isDown: false },
  ) {
    this.location = store.location;
    this.#store = store;
    this.#call = call;
    this.#clock = clock;
    this.#link = link;
  }

  async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    const object = await this.#ask(options, (bounds) => this.#store.get(key, bounds));
    if (object !== undefined) this.#call.moved(object.body.length);
    return object;
  }

  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.#ask(options, (bounds) => this.#store.head(key, bounds));
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const result = await this.#ask(options, (bounds) =>
      this.#store.put(key, body, condition, bounds),
    );
    if (result.outcome === 'stored') this.#call.moved(body.length);
    if (result.outcome === 'unknown') this.#link.isDown = true;
    return result;
  }

  delete(keys: readonly string[], options?: RequestOptions): Promise<void> {
    return this.#ask(options, (bounds) => this.#store.delete(keys, bounds));
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.#ask(options, (bounds) => this.#store.list(prefix, bounds));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #ask<Options extends RequestOptions, Result>(
    options: Options | undefined,
    request: (bounds: Options & RequestOptions) => Promise<Result>,
  ): Promise<Result> {
    const bounds =
      options?.deadline === undefined ? { ...this.#call.step(), ...(options as Options) } : options;
    throwIfOver(bounds, this.#clock);
    try {
      const result = await request(bounds);
      this.#link.isDown = false;
      return result;
    } catch (error) {
      if (isVarveError(error, 'UNAVAILABLE') || isVarveError(error, 'THROTTLED'))
        this.#link.isDown = true;
      throw error;
    }
  }
}
