import type { AbortOptions } from '../../core/abort.ts';

/**
 * The words of this folder. A **service** (S3, Ceph, MinIO) stores objects. An **object** is a byte
 * string under a **key**, in a **bucket**; its **tag** (`etag`) is another whenever its bytes are.
 * A **condition** makes a put depend on what is there. A **provider** talks to one kind of service
 * (`provider.ts`). A **decorator** is a store in front of a store (`decorators/`; all of them in
 * their order: `request-stack.ts`). A **call** bounds the requests that are made for one call of an
 * open store (`call.ts`). A **probe** shows whether a service does what is needed (`probe.ts`).
 */

/** What bounds a request. */
export interface RequestOptions extends AbortOptions {
  /**
   * The clock's monotonic time, in ms, at which the request ends: nothing begins or waits after it.
   * Default: never.
   */
  readonly deadline?: number;
}

/**
 * What a backend needs of a service that stores objects, and nothing more. An implementation adds
 * no meaning: it returns what happened, and above all whether it is *known* what happened.
 *
 * Every method throws a `VarveError`: `DENIED`, `NOT_FOUND` (no such bucket), `INVALID_ARGUMENT`
 * (wrong region or endpoint, a request the service can never accept), `THROTTLED`, `UNAVAILABLE`,
 * `ABORTED`, `CORRUPT` (a body that does not match its checksum). A request whose error is
 * `retryable` may be sent again. Reads and deletes may be repeated blindly, a `put` may not: when
 * its outcome is unknown, it returns that and does not throw.
 */
export interface ObjectStore {
  /** The location without credentials, for people. */
  readonly location: string;

  /**
   * An object, whole; `undefined` when there is none. Strongly consistent: sees every write that
   * was answered.
   */
  get(key: string, options?: RequestOptions): Promise<StoredObject | undefined>;

  /** What is known of an object without its bytes; `undefined` when there is none. */
  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined>;

  /** Stores an object if `condition` holds, atomically. */
  put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult>;

  /**
   * Deletes objects; ignores those that do not exist. It may be repeated. At most 1,000 keys: use
   * `deleteAll`.
   *
   * @throws `INVALID_ARGUMENT` for more.
   */
  delete(keys: readonly string[], options?: RequestOptions): Promise<void>;

  /**
   * Up to 1,000 objects whose key begins with `prefix`, in the order of the keys' UTF-8 bytes,
   * after `after`.
   */
  list(prefix: string, options?: ListObjectsOptions): Promise<ObjectPage>;

  /** Closes connections. */
  close(): Promise<void>;
}

/**
 * `any`: always. `absent`: only where there is no object (`If-None-Match: *`). `match`: only in
 * place of the object with that tag (`If-Match`).
 */
export type PutCondition =
  | { readonly kind: 'any' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'match'; readonly etag: string };

export type PutResult =
  /** It is stored, under this tag. */
  | {
      readonly outcome: 'stored';
      readonly etag: string;
      readonly serverTime: number;
      /** As in {@link ObjectHead}. */
      readonly servedBy?: string | undefined;
      /** The bucket keeps the version that was replaced, and may not. */
      readonly keepsVersions?: boolean | undefined;
    }
  /**
   * The condition does not hold (412, or 404 for `match`), or a race with another request was lost
   * (409): nothing was stored by this request.
   */
  | { readonly outcome: 'refused' }
  /**
   * No answer, or one that leaves it open (timeout, reset, 5xx): it may have been stored, or may
   * still be at any moment.
   */
  | { readonly outcome: 'unknown'; readonly error: Error };

export interface ObjectHead {
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch, by the server's clock; whole seconds on many. */
  readonly lastModified: number;
  /**
   * When the server answered (its `Date`), in ms. Ages are differences of server times, never of a
   * local clock's.
   */
  readonly serverTime: number;
  /**
   * Who answered, as an opaque text: the bucket at this endpoint, and what the service calls itself
   * (`Server`). Another one may keep other promises. `undefined`: there is only one.
   */
  readonly servedBy?: string | undefined;
}

export interface StoredObject extends ObjectHead {
  readonly body: Uint8Array;
}

export interface ListObjectsOptions extends RequestOptions {
  /** Only keys after this one. */
  readonly after?: string;
  /** Most objects on the page, 1 to 1,000; more are `INVALID_ARGUMENT`. Default: 1,000. */
  readonly limit?: number;
}

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly lastModified: number;
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  /** Whether there are more after the last one. */
  readonly isTruncated: boolean;
  readonly serverTime: number;
}
