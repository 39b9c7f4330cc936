/** Objects in memory, for services that only benches use: compact, so that a million fit. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * @typedef {import('../../src/backends/storage/object-store.ts').PutCondition} PutCondition
 * @typedef {{ body: Uint8Array, etag: string, lastModified: number }} Stored
 */

/** Whole objects by key, with conditional writes and ordered listings, as S3 has them. */
export class ObjectTable {
  /** @type {Map<string, Stored>} */
  #objects = new Map();
  /**
   * Keys in order, perhaps also some that were deleted since.
   *
   * @type {string[]}
   */
  #ordered = [];
  /**
   * Keys that came since `#ordered` was made.
   *
   * @type {Set<string>}
   */
  #added = new Set();

  get size() {
    return this.#objects.size;
  }

  /** @param {string} key */
  get(key) {
    return this.#objects.get(key);
  }

  /**
   * Returns the tag of what is stored now, `undefined` when the condition does not hold.
   *
   * @param {string} key
   * @param {Uint8Array} body
   * @param {PutCondition} condition
   */
  put(key, body, condition = { kind: 'any' }) {
    const stored = this.#objects.get(key);
    if (condition.kind === 'absent' && stored !== undefined) return undefined;
    if (condition.kind === 'match' && stored?.etag !== condition.etag) return undefined;
    const copy = Buffer.from(body);
    this.#set(key, copy);
    return /** @type {Stored} */ (this.#objects.get(key)).etag;
  }

  /** @param {string} key */
  delete(key) {
    this.#objects.delete(key);
    this.#added.delete(key);
  }

  /**
   * @param {string} prefix
   * @param {string} after
   * @param {number} limit
   */
  list(prefix, after, limit) {
    this.#sort();
    const keys = [];
    const from = after > prefix ? after : prefix;
    for (let at = firstFrom(this.#ordered, from); at < this.#ordered.length; at++) {
      const key = /** @type {string} */ (this.#ordered[at]);
      if (!key.startsWith(prefix)) break;
      if (key === after || !this.#objects.has(key)) continue;
      if (keys.length === limit) return { keys, isTruncated: true };
      keys.push(key);
    }
    return { keys, isTruncated: false };
  }

  /**
   * Stores everything in a file: for each object the lengths of key and body, the key, the body.
   *
   * @param {string} file
   */
  save(file) {
    const parts = [];
    for (const [key, { body }] of this.#objects) {
      const lengths = Buffer.alloc(8);
      lengths.writeUInt32LE(key.length, 0);
      lengths.writeUInt32LE(body.length, 4);
      parts.push(lengths, Buffer.from(key, 'latin1'), body);
    }
    writeFileSync(file, Buffer.concat(parts));
  }

  /** @param {string} file as {@link save} wrote it */
  load(file) {
    const bytes = readFileSync(file);
    for (let at = 0; at < bytes.length; ) {
      const key = at + 8;
      const body = key + bytes.readUInt32LE(at);
      const end = body + bytes.readUInt32LE(at + 4);
      this.#set(bytes.toString('latin1', key, body), bytes.subarray(body, end));
      at = end;
    }
    this.#sort();
  }

  /**
   * @param {string} key
   * @param {Buffer} body
   */
  #set(key, body) {
    if (!this.#objects.has(key)) this.#added.add(key);
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    this.#objects.set(key, { body, etag, lastModified: Date.now() });
  }

  #sort() {
    if (this.#added.size === 0) return;
    // Nearly sorted, which the engine's sort makes use of. A key may have left and come back.
    const all = new Set(this.#ordered.filter((key) => this.#objects.has(key)));
    for (const key of this.#added) all.add(key);
    this.#ordered = [...all].sort();
    this.#added.clear();
  }
}

/**
 * Position of the first key that is not before `bound`.
 *
 * @param {readonly string[]} keys
 * @param {string} bound
 */
function firstFrom(keys, bound) {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (/** @type {string} */ (keys[middle]) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
