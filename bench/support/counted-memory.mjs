/**
 * Puts a service of the bench behind `memory:` locations of the build that is measured: it counts
 * requests and bytes, and answers in rounds. All stores in memory are the same one then.
 */
import { importInternal } from './library.mjs';
import { ObjectTable } from './object-table.mjs';
import { Rounds } from './rounds.mjs';

/**
 * @typedef {object} Counts
 * @property {number} get
 * @property {number} head
 * @property {number} put
 * @property {number} delete
 * @property {number} list
 * @property {number} bytesUp
 * @property {number} bytesDown
 */

/** @returns {Counts} */
const none = () => ({ get: 0, head: 0, put: 0, delete: 0, list: 0, bytesUp: 0, bytesDown: 0 });

export class CountedMemory {
  table = new ObjectTable();
  rounds = new Rounds();
  counts = none();
  /**
   * Requests by verb and kind of object, to explain the counts.
   *
   * @type {Record<string, number>}
   */
  kinds = {};

  /** Takes over the memory store of the build. */
  static async install() {
    const { MemoryObjectStore } = await importInternal('backends/storage/memory-store');
    const service = new CountedMemory();
    Object.assign(MemoryObjectStore.prototype, service.#methods());
    return service;
  }

  /** Counts from 0 again. */
  reset() {
    this.counts = none();
    this.kinds = {};
    this.rounds.depth = 0;
  }

  /** Requests since the last reset. */
  get requests() {
    const { get, head, put, delete: deleted, list } = this.counts;
    return get + head + put + deleted + list;
  }

  /**
   * @param {'get' | 'head' | 'put' | 'delete' | 'list'} verb
   * @param {string} key
   */
  async #request(verb, key) {
    this.counts[verb]++;
    const kind = `${verb} ${key.split('/')[0]}`;
    this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
    await this.rounds.wait();
  }

  #methods() {
    const { table } = this;
    const request = this.#request.bind(this);
    const described = (/** @type {string} */ key) => {
      const stored = table.get(key);
      if (stored === undefined) return undefined;
      const { body, etag, lastModified } = stored;
      return { body, etag, lastModified, size: body.length, serverTime: Date.now() };
    };
    return {
      get: async (/** @type {string} */ key) => {
        await request('get', key);
        const found = described(key);
        this.counts.bytesDown += found?.size ?? 0;
        return found;
      },
      head: async (/** @type {string} */ key) => {
        await request('head', key);
        const { body: _, ...head } = described(key) ?? {};
        return 'etag' in head ? head : undefined;
      },
      put: async (
        /** @type {string} */ key,
        /** @type {Uint8Array} */ body,
        /** @type {import('./object-table.mjs').PutCondition} */ condition,
      ) => {
        this.counts.bytesUp += body.length;
        await request('put', key);
        const etag = table.put(key, body, condition);
        if (etag === undefined) return { outcome: 'refused' };
        return { outcome: 'stored', etag, serverTime: Date.now() };
      },
      delete: async (/** @type {readonly string[]} */ keys) => {
        await request('delete', keys[0] ?? '');
        for (const key of keys) table.delete(key);
      },
      list: async (
        /** @type {string} */ prefix,
        /** @type {{ after?: string, limit?: number }} */ { after = '', limit = 1000 } = {},
      ) => {
        await request('list', prefix);
        const { keys, isTruncated } = table.list(prefix, after, limit);
        const objects = keys.map((key) => {
          const { body, etag, lastModified } = /** @type {import('./object-table.mjs').Stored} */ (
            table.get(key)
          );
          return { key, etag, lastModified, size: body.length };
        });
        return { objects, isTruncated, serverTime: Date.now() };
      },
    };
  }
}
