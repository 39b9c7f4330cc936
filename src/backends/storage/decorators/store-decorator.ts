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
import type { RequestVerb } from '../request-meter.ts';

/** A request on its way through the decorators. */
export interface PassingRequest {
  readonly verb: RequestVerb;
  /** Of a `list`: the prefix. */
  readonly keys: readonly string[];
  /** Bytes of the body. */
  readonly bytes: number;
}

/**
 * A store in front of another. It forwards every request, so that a decorator says only what it
 * changes: {@link around} for all requests, a method for one kind of them and its results.
 */
export abstract class StoreDecorator implements ObjectStore {
  readonly location: string;
  protected readonly inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.location = inner.location;
    this.inner = inner;
  }

  /**
   * Every request passes through here.
   *
   * @param options as the caller gave them.
   * @param send forwards the request with these bounds; it may be called again.
   */
  protected abstract around<Result>(
    request: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result>;

  get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    return this.around({ verb: 'get', keys: [key], bytes: 0 }, options, (bounds) =>
      this.inner.get(key, bounds),
    );
  }

  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.around({ verb: 'head', keys: [key], bytes: 0 }, options, (bounds) =>
      this.inner.head(key, bounds),
    );
  }

  put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    return this.around({ verb: 'put', keys: [key], bytes: body.length }, options, (bounds) =>
      this.inner.put(key, body, condition, bounds),
    );
  }

  delete(keys: readonly string[], options?: RequestOptions): Promise<void> {
    return this.around({ verb: 'delete', keys, bytes: 0 }, options, (bounds) =>
      this.inner.delete(keys, bounds),
    );
  }

  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage> {
    return this.around({ verb: 'list', keys: [prefix], bytes: 0 }, options, (bounds) =>
      this.inner.list(prefix, { ...options, ...bounds }),
    );
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
