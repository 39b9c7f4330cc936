import { randomUUID } from 'node:crypto';
import type { Backend } from '../backends/contract/backend.ts';
import {
  ABORT_OPTIONS,
  type ListFilter,
  type Locator,
  listFilterKinds,
  MAX_SEGMENT_BYTES,
  type ManifestFields,
  type ManifestHead,
  type ManifestKey,
  type ManifestWrite,
  type NewEntry,
  type Revision,
  type SegmentEncoding,
  type WriteSuccess,
} from '../backends/contract/manifests.ts';
import { whileOpen } from '../backends/contract/while-open.ts';
import { type AbortOptions, throwIfAborted } from '../core/abort.ts';
import { type Address, addressOf } from '../core/address.ts';
import { checkBytes, itemsOf } from '../core/arguments.ts';
import { isVarveError, VarveError } from '../core/errors.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';
import { declareOptions } from '../core/options/options.ts';
import { tokenSegmentBytes, tokenSegmentIds } from './token-segment.ts';

/** How segments are put. */
export interface PutSegmentOptions extends AbortOptions {
  /**
   * The pin that holds the segment, 1 to 512 bytes of UTF-8. Default: a new one with a random name.
   */
  readonly pin?: string | undefined;
  /** Whose pin it is, to list pins by. Sets it anew when the pin exists. */
  readonly owner?: string | undefined;
  /**
   * Milliseconds since the epoch from which a collection may release the pin. Sets it anew when the
   * pin exists. Default: never.
   */
  readonly expiresAt?: number | undefined;
}

const PUT_SEGMENT_OPTIONS = declareOptions<PutSegmentOptions>()({
  members: (is: OptionKinds) => ({
    pin: is.text,
    owner: is.text,
    expiresAt: is.moment,
    signal: is.signal,
  }),
});

/** Where a segment is, and what holds it. */
export interface SegmentReceipt {
  readonly address: Address;
  /** The pin that holds the segment until it is released or expires. */
  readonly pin: string;
  /** Whether this call stored the segment; `false` when it was stored already. */
  readonly created: boolean;
}

/** What a list returns of a pin. */
export interface PinHead {
  readonly pin: string;
  readonly owner?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt?: number;
  readonly revision: Revision;
  /** How many segments it holds. */
  readonly segments: number;
  /** Their canonical bytes. */
  readonly bytes: number;
}

/** A pin, with the addresses of what it holds. */
export interface PinStat extends PinHead {
  /** The segments that it holds, in the order in which they were put. */
  readonly addresses: readonly Address[];
}

/** Which pins a list returns, and in which order. */
export interface PinFilter extends Pick<ListFilter, 'since' | 'until' | 'order'>, AbortOptions {
  readonly owner?: string | undefined;
}

const PIN_FILTER = declareOptions<PinFilter>()({
  members: (is: OptionKinds) => {
    const { since, until, order } = listFilterKinds(is);
    return { owner: is.text, since, until, order, signal: is.signal };
  },
});

interface StoredBytes {
  readonly bytes: Uint8Array;
  readonly encoding: SegmentEncoding;
}

/**
 * The body of a pin's entry, format 1: this one byte. The entry references the one segment that it
 * holds; the pin's owner is the manifest's `application`.
 */
const PIN_ENTRY_BODY = Uint8Array.of(1);

/** What one commit of `putMany` and one fetch of `getMany` is bounded by. */
const BATCH_SEGMENTS = 256;
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * Raw segments for applications: byte strings of at most 4 MiB under their SHA-256, stored once and
 * held by *pins*. A segment lives while at least one pin (or conversation, or blob) holds it, and
 * is collected some time after.
 *
 * Every method may throw what concerns the store: `CLOSED`, `ABORTED`, `READ_ONLY`, `NO_SPACE`,
 * `BUSY`, `UNAVAILABLE`.
 */
export class Segments {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Stores bytes and holds them by a pin. A pin that exists takes the segment in addition; putting
   * what it holds already changes nothing, so the call may be repeated.
   *
   * ```ts
   * const { address, pin } = await store.segments.put(new TextEncoder().encode('some bytes'));
   * ```
   *
   * @throws `TOO_LARGE` above 4 MiB; `INVALID_ARGUMENT` for anything but bytes, or for a pin name
   *   that is none.
   */
  async put(bytes: Uint8Array, options?: PutSegmentOptions): Promise<SegmentReceipt> {
    const given = PUT_SEGMENT_OPTIONS.read('segments.put', options);
    // The caller may use its memory again before the commit has ended.
    return this.#putOne({ bytes: new Uint8Array(checkSegment(bytes)), encoding: 'bytes' }, given);
  }

  /**
   * Stores token ids (integers from 0 to 2^32-1, at most 1,048,576 of them) as a token segment: its
   * address is the SHA-256 of the ids as little-endian uint32, while the store keeps them more
   * densely.
   *
   * ```ts
   * const { address } = await store.segments.putTokens([1, 15043, 3186], { pin: 'prompt' });
   * ```
   *
   * @throws as {@link put}.
   */
  async putTokens(
    ids: Uint32Array | readonly number[],
    options?: PutSegmentOptions,
  ): Promise<SegmentReceipt> {
    const given = PUT_SEGMENT_OPTIONS.read('segments.putTokens', options);
    return this.#putOne({ bytes: checkSegment(tokenSegmentBytes(ids)), encoding: 'tokens' }, given);
  }

  /**
   * {@link put} for many, under one pin: a receipt for each, in order, in batches that bound
   * memory. Receipts are given out once their batch is durable. When `source` throws, what was
   * given out stays.
   *
   * ```ts
   * const pages = [new Uint8Array([1]), new Uint8Array([2])];
   * for await (const { address } of store.segments.putMany(pages, { pin: 'book' })) {
   *   console.log(address);
   * }
   * ```
   */
  putMany(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: PutSegmentOptions,
  ): AsyncGenerator<SegmentReceipt, void, undefined> {
    return this.#putMany(source, PUT_SEGMENT_OPTIONS.read('segments.putMany', options));
  }

  async *#putMany(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: PutSegmentOptions,
  ): AsyncGenerator<SegmentReceipt, void, undefined> {
    const { pin = randomUUID() } = options;
    let batch: StoredBytes[] = [];
    let batchBytes = 0;
    for await (const each of itemsOf('segments to put are', source)) {
      const bytes = checkSegment(each);
      // The source may use its memory again before the batch is committed.
      batch.push({ bytes: new Uint8Array(bytes), encoding: 'bytes' });
      batchBytes += bytes.length;
      if (batch.length < BATCH_SEGMENTS && batchBytes < BATCH_BYTES) continue;
      yield* await this.#hold(batch, pin, options);
      batch = [];
      batchBytes = 0;
    }
    if (batch.length > 0) yield* await this.#hold(batch, pin, options);
  }

  /**
   * The bytes under an address, verified against it; `undefined` when they are not stored. What no
   * pin holds any more is still there until it is collected. The bytes are the caller's.
   *
   * ```ts
   * const address = addressOf(new TextEncoder().encode('some bytes'));
   * const bytes = await store.segments.get(address);
   * ```
   *
   * @throws `CORRUPT` with the address when the stored bytes are damaged.
   */
  async get(address: Address, options?: AbortOptions): Promise<Uint8Array | undefined> {
    return this.#get(address, ABORT_OPTIONS.read('segments.get', options));
  }

  async #get(address: Address, options: AbortOptions): Promise<Uint8Array | undefined> {
    const [locator] = await this.#backend.find([address], options);
    if (locator === undefined) return undefined;
    try {
      return (await this.#backend.fetch([locator], options))[0];
    } catch (error) {
      // Collected between the two calls.
      if (isVarveError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /**
   * The token ids under an address, in an array of their own; `undefined` when it is not stored.
   *
   * ```ts
   * const { address } = await store.segments.putTokens([1, 15043, 3186]);
   * const ids = await store.segments.getTokens(address);
   * ```
   *
   * @throws `INVALID_ARGUMENT` when the segment is not a whole number of ids; `CORRUPT` as
   *   {@link get}.
   */
  async getTokens(address: Address, options?: AbortOptions): Promise<Uint32Array | undefined> {
    const bytes = await this.#get(address, ABORT_OPTIONS.read('segments.getTokens', options));
    return bytes && tokenSegmentIds(bytes);
  }

  /**
   * {@link get} for many: one result for each address, in order, in batches that bound memory.
   *
   * ```ts
   * const { addresses = [] } = (await store.segments.stat('book')) ?? {};
   * for await (const { address, bytes } of store.segments.getMany(addresses)) {
   *   console.log(address, bytes?.length);
   * }
   * ```
   */
  getMany(
    addresses: AsyncIterable<Address> | Iterable<Address>,
    options?: AbortOptions,
  ): AsyncGenerator<
    { readonly address: Address; readonly bytes: Uint8Array | undefined },
    void,
    undefined
  > {
    return whileOpen(
      this.#backend,
      this.#getMany(addresses, ABORT_OPTIONS.read('segments.getMany', options)),
    );
  }

  async *#getMany(addresses: AsyncIterable<Address> | Iterable<Address>, options: AbortOptions) {
    let batch: Address[] = [];
    for await (const address of itemsOf('addresses are', addresses)) {
      batch.push(address);
      if (batch.length < BATCH_SEGMENTS) continue;
      yield* this.#getBatch(batch, options);
      batch = [];
    }
    yield* this.#getBatch(batch, options);
  }

  /**
   * Whether a segment is stored and something holds it.
   *
   * ```ts
   * const address = addressOf(new TextEncoder().encode('some bytes'));
   * if (await store.segments.has(address)) console.log('stored already');
   * ```
   */
  async has(address: Address, options?: AbortOptions): Promise<boolean> {
    const abort = ABORT_OPTIONS.read('segments.has', options);
    const [locator] = await this.#backend.find([address], abort);
    if (locator === undefined) return false;
    try {
      const [description] = await this.#backend.describe([locator], abort);
      return description !== undefined && description.references > 0;
    } catch (error) {
      if (isVarveError(error, 'NOT_FOUND')) return false;
      throw error;
    }
  }

  /**
   * Releases all that a pin holds. Returns whether there was such a pin: releasing again is no
   * error.
   *
   * ```ts
   * const { pin } = await store.segments.put(new TextEncoder().encode('some bytes'));
   * await store.segments.release(pin);
   * ```
   */
  async release(pin: string, options?: AbortOptions): Promise<boolean> {
    const abort = ABORT_OPTIONS.read('segments.release', options);
    const [outcome] = await this.#commit([{ operation: 'delete', key: keyOf(pin) }], abort);
    return outcome?.status === 'deleted';
  }

  /**
   * All pins that pass the filter, by default in the order in which they were first put.
   *
   * ```ts
   * for await (const { pin, bytes } of store.segments.pins({ owner: 'indexer' })) {
   *   console.log(pin, bytes);
   * }
   * ```
   *
   * @throws `INVALID_ARGUMENT` at the call.
   */
  pins(filter?: PinFilter): AsyncGenerator<PinHead, void, undefined> {
    const { owner, signal, ...rest } = PIN_FILTER.read('segments.pins', filter);
    return this.#pins({ ...rest, ...(owner !== undefined && { application: owner }) }, { signal });
  }

  async *#pins(filter: ListFilter, abort: AbortOptions): AsyncGenerator<PinHead, void, undefined> {
    for await (const head of this.#backend.list('pin', filter, abort)) yield pinHead(head);
  }

  /**
   * What a pin is and holds; `undefined` when there is no such pin.
   *
   * ```ts
   * const book = await store.segments.stat('book');
   * console.log(book?.addresses.length);
   * ```
   */
  async stat(pin: string, options?: AbortOptions): Promise<PinStat | undefined> {
    const abort = ABORT_OPTIONS.read('segments.stat', options);
    for (;;) {
      const [manifest] = await this.#backend.read([keyOf(pin)], abort);
      if (!manifest) return undefined;
      try {
        const addresses = await this.#backend.addresses(
          manifest.entries.flatMap(({ segments }) => segments),
          abort,
        );
        return { ...pinHead(manifest), addresses };
      } catch (error) {
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
        const [now] = await this.#backend.heads([keyOf(pin)], abort);
        if (now?.revision === manifest.revision) {
          throw new VarveError(
            'CORRUPT',
            `pin ${JSON.stringify(pin)} holds a segment that is not stored`,
            {
              cause: error,
            },
          );
        }
      }
    }
  }

  async #putOne(stored: StoredBytes, options: PutSegmentOptions): Promise<SegmentReceipt> {
    const [receipt] = await this.#hold([stored], options.pin ?? randomUUID(), options);
    return receipt as SegmentReceipt;
  }

  /**
   * Adds segments to a pin, which is created when it does not exist. Each is an append whose
   * idempotency key tells its address, so that a pin holds a segment once, whatever is repeated or
   * happens at the same time.
   */
  async #hold(
    segments: readonly StoredBytes[],
    pin: string,
    options: PutSegmentOptions,
  ): Promise<SegmentReceipt[]> {
    const key = keyOf(pin);
    const abort = options.signal ? { signal: options.signal } : {};
    const addresses = segments.map(({ bytes }) => addressOf(bytes));
    const fields = fieldsOf(options);
    const writes: ManifestWrite[] = segments.map(({ bytes, encoding }, i) => {
      const address = addresses[i] as Address;
      const entry: NewEntry = {
        body: PIN_ENTRY_BODY,
        segments: [{ address, encoding, bytes: () => bytes }],
      };
      return {
        operation: 'append',
        key,
        idempotencyKey: keyOfAppend(address),
        logicalBytes: bytes.length,
        fields,
        entries: [entry],
      };
    });
    const create: ManifestWrite = {
      operation: 'put',
      key,
      ifExists: 'skip',
      fields: { ...fields, logicalBytes: 0 },
      entries: [],
    };
    for (;;) {
      throwIfAborted(options.signal);
      try {
        const [pinned, ...held] = await this.#commit([create, ...writes], abort);
        if (pinned?.status !== 'created') await this.#setFields(key, fields, abort);
        return held.map(({ newSegments }, i) => ({
          address: addresses[i] as Address,
          pin,
          created: newSegments > 0,
        }));
      } catch (error) {
        // Where a batch is not one transaction, somebody may release the pin in the middle of it.
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
      }
    }
  }

  /** Sets fields of a pin that an append left alone because it had nothing to add. */
  async #setFields(
    key: ManifestKey,
    fields: Partial<ManifestFields>,
    options: AbortOptions,
  ): Promise<void> {
    if (Object.keys(fields).length === 0) return;
    const [head] = await this.#backend.heads([key], options);
    const isSet =
      (fields.application ?? head?.application) === head?.application &&
      (fields.expiresAt ?? head?.expiresAt) === head?.expiresAt;
    if (isSet) return;
    await this.#commit(
      [{ operation: 'append', key, logicalBytes: 0, fields, entries: [] }],
      options,
    );
  }

  async *#getBatch(addresses: readonly Address[], options: AbortOptions) {
    const locators = await this.#backend.find(addresses, options);
    const lengths = await this.#lengths(locators, options);
    for (let start = 0; start < addresses.length; ) {
      let end = start;
      let bytes = 0;
      do bytes += lengths[end++] ?? 0;
      while (end < addresses.length && bytes + (lengths[end] ?? 0) <= BATCH_BYTES);
      yield* await this.#getWindow(
        addresses.slice(start, end),
        locators.slice(start, end),
        options,
      );
      start = end;
    }
  }

  async #getWindow(
    addresses: readonly Address[],
    locators: readonly (Locator | undefined)[],
    options: AbortOptions,
  ) {
    try {
      const fetched = await this.#backend.fetch(locators.filter(isStored), options);
      let next = 0;
      return addresses.map((address, i) => ({
        address,
        bytes: locators[i] === undefined ? undefined : fetched[next++],
      }));
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      const one = async (address: Address) => ({
        address,
        bytes: await this.#get(address, options),
      });
      return Promise.all(addresses.map(one));
    }
  }

  /** Canonical lengths; the longest possible where a segment has just been collected. */
  async #lengths(
    locators: readonly (Locator | undefined)[],
    options: AbortOptions,
  ): Promise<number[]> {
    try {
      const described = await this.#backend.describe(locators.filter(isStored), options);
      let next = 0;
      return locators.map((locator) =>
        locator === undefined ? 0 : (described[next++]?.length ?? 0),
      );
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      return locators.map(() => MAX_SEGMENT_BYTES);
    }
  }

  async #commit(writes: readonly ManifestWrite[], options: AbortOptions): Promise<WriteSuccess[]> {
    const outcomes = await this.#backend.commit(
      writes,
      options.signal ? { signal: options.signal } : {},
    );
    return outcomes.map((outcome) => {
      if (outcome.status === 'failed') throw outcome.error;
      return outcome;
    });
  }
}

function keyOf(pin: string): ManifestKey {
  return { kind: 'pin', id: pin };
}

function keyOfAppend(address: Address): string {
  return Buffer.from(address, 'hex').toString('base64url');
}

function isStored(locator: Locator | undefined): locator is Locator {
  return locator !== undefined;
}

function checkSegment(bytes: Uint8Array): Uint8Array {
  checkBytes('a segment', bytes);
  if (bytes.length > MAX_SEGMENT_BYTES) {
    throw new VarveError(
      'TOO_LARGE',
      `a segment has at most ${MAX_SEGMENT_BYTES} bytes, not ${bytes.length}: use blobs, ` +
        'which are chunked',
    );
  }
  return bytes;
}

function fieldsOf({
  owner,
  expiresAt,
}: PutSegmentOptions): Pick<ManifestFields, 'application' | 'expiresAt'> {
  return {
    ...(owner === undefined ? {} : { application: owner }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function pinHead(head: ManifestHead): PinHead {
  return {
    pin: head.key.id,
    ...(head.application === undefined ? {} : { owner: head.application }),
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    ...(head.expiresAt === undefined ? {} : { expiresAt: head.expiresAt }),
    revision: head.revision,
    segments: head.entryCount,
    bytes: head.logicalBytes,
  };
}
