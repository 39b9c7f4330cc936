import { createHash } from 'node:crypto';
import { checkDeletedKeys, checkObjectKey } from '../../../src/backends/storage/object-limits.ts';
import type {
  ListObjectsOptions,
  ObjectPage,
  PutCondition,
  PutResult,
  StoredObject,
} from '../../../src/backends/storage/object-store.ts';

export interface BucketObject {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModified: number;
}

/** Called right after every change. `process` names the process that asked for it. */
export type BucketObserver = (
  key: string,
  object: BucketObject | undefined,
  process: string,
) => void;

/**
 * The server's side of the object store: one request at a time changes what is stored. Tags are
 * hashes of the content, as on S3.
 */
export class Bucket {
  readonly objects = new Map<string, BucketObject>();
  readonly #now: () => number;
  readonly #observe: BucketObserver;
  /** The number of changes so far. */
  version = 0;

  constructor(now: () => number, observe: BucketObserver) {
    this.#now = now;
    this.#observe = observe;
  }

  get(key: string): StoredObject | undefined {
    const object = this.objects.get(key);
    return object && { ...object, size: object.body.length, serverTime: this.#now() };
  }

  put(key: string, body: Uint8Array, condition: PutCondition, process: string): PutResult {
    checkObjectKey(key);
    const stored = this.objects.get(key);
    const holds =
      condition.kind === 'any' ||
      (condition.kind === 'absent' ? stored === undefined : stored?.etag === condition.etag);
    if (!holds) return { outcome: 'refused' };
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    const lastModified = this.#now();
    this.#change(key, { body: new Uint8Array(body), etag, lastModified }, process);
    return { outcome: 'stored', etag, serverTime: lastModified };
  }

  delete(keys: readonly string[], process: string): void {
    checkDeletedKeys(keys);
    for (const key of keys) if (this.objects.has(key)) this.#change(key, undefined, process);
  }

  list(prefix: string, { after = '', limit = 1000 }: ListObjectsOptions): ObjectPage {
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > after)
      .sort();
    const objects = keys.slice(0, limit).map((key) => {
      const { etag, lastModified, body } = this.objects.get(key) as BucketObject;
      return { key, etag, lastModified, size: body.length };
    });
    return { objects, isTruncated: keys.length > limit, serverTime: this.#now() };
  }

  #change(key: string, object: BucketObject | undefined, process: string): void {
    if (object === undefined) this.objects.delete(key);
    else this.objects.set(key, object);
    this.version++;
    this.#observe(key, object, process);
  }
}
