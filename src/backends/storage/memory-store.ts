import { createHash } from 'node:crypto';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import {
  checkDeletedKeys,
  checkListLimit,
  checkObjectKey,
  MAX_LISTED_OBJECTS,
} from './object-limits.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  StoredObject,
} from './object-store.ts';

interface Stored {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModified: number;
}

/**
 * Objects in this process's memory: for tests, simulations and stores that need not last. Tags are
 * MD5, as on S3, and it refuses what S3 refuses.
 */
export class MemoryObjectStore implements ObjectStore {
  readonly location: string;
  readonly #objects = new Map<string, Stored>();
  readonly #now: () => number;
  /** Keys in order; `undefined` after a key came or went. */
  #ordered: string[] | undefined;

  constructor(options: { readonly location?: string; readonly now?: () => number } = {}) {
    this.location = options.location ?? 'memory:';
    this.#now = options.now ?? Date.now;
  }

  async get(key: string, options?: AbortOptions): Promise<StoredObject | undefined> {
    const head = await this.head(key, options);
    return head && { ...head, body: (this.#objects.get(key) as Stored).body };
  }

  async head(key: string, options?: AbortOptions): Promise<ObjectHead | undefined> {
    throwIfAborted(options?.signal);
    checkObjectKey(key);
    const stored = this.#objects.get(key);
    if (stored === undefined) return undefined;
    const { etag, lastModified, body } = stored;
    return { etag, lastModified, size: body.length, serverTime: this.#now() };
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: AbortOptions,
  ): Promise<PutResult> {
    throwIfAborted(options?.signal);
    checkObjectKey(key);
    const stored = this.#objects.get(key);
    const holds =
      condition.kind === 'any' ||
      (condition.kind === 'absent' ? stored === undefined : stored?.etag === condition.etag);
    if (!holds) return { outcome: 'refused' };
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    const lastModified = this.#now();
    if (stored === undefined) this.#ordered = undefined;
    this.#objects.set(key, { body: new Uint8Array(body), etag, lastModified });
    return { outcome: 'stored', etag, serverTime: lastModified };
  }

  async delete(keys: readonly string[], options?: AbortOptions): Promise<void> {
    throwIfAborted(options?.signal);
    checkDeletedKeys(keys);
    keys.forEach(checkObjectKey);
    for (const key of keys) if (this.#objects.delete(key)) this.#ordered = undefined;
  }

  async list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    throwIfAborted(options.signal);
    const { after = '', limit = MAX_LISTED_OBJECTS } = options;
    checkListLimit(limit);
    // Keys are ASCII, so that the order of code units is that of UTF-8 bytes.
    this.#ordered ??= [...this.#objects.keys()].sort();
    const keys = this.#ordered;
    const objects = [];
    for (let at = firstFrom(keys, after > prefix ? after : prefix); at < keys.length; at++) {
      const key = keys[at] as string;
      if (key === after) continue;
      if (!key.startsWith(prefix)) break;
      if (objects.length === limit) return { objects, isTruncated: true, serverTime: this.#now() };
      const { etag, lastModified, body } = this.#objects.get(key) as Stored;
      objects.push({ key, etag, lastModified, size: body.length });
    }
    return { objects, isTruncated: false, serverTime: this.#now() };
  }

  async close(): Promise<void> {}
}

/** Position of the first key that is not before `bound`. */
function firstFrom(keys: readonly string[], bound: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
