import { randomUUID } from 'node:crypto';
import type { Backend } from '../backends/contract/backend.ts';
import { ABORT_OPTIONS, MAX_SEGMENT_BYTES } from '../backends/contract/manifests.ts';
import { whileOpen } from '../backends/contract/while-open.ts';
import type { AbortOptions } from '../core/abort.ts';
import type { Address } from '../core/address.ts';
import { checkBytes, itemsOf } from '../core/arguments.ts';
import { batchesOf } from '../core/batches.ts';
import { VarveError } from '../core/errors.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';
import { declareOptions } from '../core/options/options.ts';
import {
  PIN_FILTER,
  type PinFilter,
  type PinHead,
  type PinStat,
  Pins,
  type RawSegment,
  type SegmentReceipt,
} from './pins.ts';
import { type FetchedSegment, SegmentFetcher } from './segment-fetcher.ts';
import { tokenSegmentBytes, tokenSegmentIds } from './token-segment.ts';

/** How segments are put. */
export interface PutSegmentOptions extends AbortOptions {
  /**
   * The pin that holds the segment, 1 to 512 bytes of UTF-8. Default: a new one with a random name.
   */
  readonly pin?: string | undefined;
  /** The owner of the pin; lists can filter by it. Replaces that of an existing pin. */
  readonly owner?: string | undefined;
  /**
   * Milliseconds since the epoch from which a collection may release the pin. Replaces that of an
   * existing pin. Default: never.
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

/** Bounds of one commit of `putMany` and one fetch of `getMany`. */
const BATCH_SEGMENTS = 256;
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * Raw segments for applications: byte strings of at most 4 MiB under their SHA-256, stored once and
 * held by *pins*. A segment lives while at least one pin (or conversation, or blob) holds it, and
 * is collected some time after that.
 *
 * Every method may throw errors of the store: `CLOSED`, `ABORTED`, `READ_ONLY`, `NO_SPACE`, `BUSY`,
 * `UNAVAILABLE`.
 */
export class Segments {
  readonly #backend: Backend;
  readonly #pins: Pins;
  readonly #fetcher: SegmentFetcher;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#pins = new Pins(backend);
    this.#fetcher = new SegmentFetcher(backend, BATCH_BYTES);
  }

  /**
   * Stores bytes and holds them by a pin. An existing pin gets the segment in addition; putting a
   * segment that it holds already changes nothing, so the call may be repeated.
   *
   * ```ts
   * const { address, pin } = await store.segments.put(new TextEncoder().encode('some bytes'));
   * ```
   *
   * @throws `TOO_LARGE` above 4 MiB; `INVALID_ARGUMENT` for anything but bytes, or for an invalid
   * pin name.
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
    const bounds = {
      count: BATCH_SEGMENTS,
      bytes: BATCH_BYTES,
      bytesOf: ({ bytes }: RawSegment) => bytes.length,
    };
    for await (const batch of batchesOf(ownSegments(source), bounds))
      yield* await this.#pins.hold(batch, pin, options);
  }

  /**
   * The bytes under an address, verified against it; `undefined` when they are not stored. A
   * segment that no pin holds any more stays until it is collected. The caller owns the bytes.
   *
   * ```ts
   * const address = addressOf(new TextEncoder().encode('some bytes'));
   * const bytes = await store.segments.get(address);
   * ```
   *
   * @throws `CORRUPT` with the address when the stored bytes are damaged.
   */
  async get(address: Address, options?: AbortOptions): Promise<Uint8Array | undefined> {
    return this.#fetcher.get(address, ABORT_OPTIONS.read('segments.get', options));
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
    const bytes = await this.#fetcher.get(
      address,
      ABORT_OPTIONS.read('segments.getTokens', options),
    );
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

  async *#getMany(
    addresses: AsyncIterable<Address> | Iterable<Address>,
    abort: AbortOptions,
  ): AsyncGenerator<FetchedSegment, void, undefined> {
    const items = itemsOf('addresses are', addresses);
    for await (const batch of batchesOf(items, { count: BATCH_SEGMENTS }))
      yield* this.#fetcher.getAll(batch, abort);
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
    return this.#fetcher.isHeld(address, ABORT_OPTIONS.read('segments.has', options));
  }

  /**
   * Deletes a pin, so that it holds nothing any more. Returns whether there was such a pin:
   * releasing again is not an error.
   *
   * ```ts
   * const { pin } = await store.segments.put(new TextEncoder().encode('some bytes'));
   * await store.segments.release(pin);
   * ```
   */
  async release(pin: string, options?: AbortOptions): Promise<boolean> {
    return this.#pins.release(pin, ABORT_OPTIONS.read('segments.release', options));
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
    const { signal, ...rest } = PIN_FILTER.read('segments.pins', filter);
    return this.#pins.list(rest, { signal });
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
    return this.#pins.stat(pin, ABORT_OPTIONS.read('segments.stat', options));
  }

  async #putOne(segment: RawSegment, options: PutSegmentOptions): Promise<SegmentReceipt> {
    const [receipt] = await this.#pins.hold([segment], options.pin ?? randomUUID(), options);
    return receipt as SegmentReceipt;
  }
}

/** The segments of a source in memory of their own: it may use its memory again. */
async function* ownSegments(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<RawSegment, void, undefined> {
  for await (const bytes of itemsOf('segments to put are', source))
    yield { bytes: new Uint8Array(checkSegment(bytes)), encoding: 'bytes' };
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
