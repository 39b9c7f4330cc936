import { LRUCache } from 'lru-cache';
import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { atMost } from '../../../core/collections/cache-bound.ts';
import { because, VarveError } from '../../../core/errors.ts';
import type { NewSegment } from '../../contract/manifests.ts';
import { asVarveError, checkedBytes } from '../../contract/write-validation.ts';
import type { PutCondition } from '../../storage/object-store.ts';
import { segmentKey } from '../format/keys.ts';
import { encodeSegment } from '../format/segment-data.ts';
import { type Generation, newGeneration, type Sidecar, type Token } from '../format/sidecar.ts';
import { Backoff } from '../tables/backoff.ts';
import type { Protocol } from '../tables/protocol.ts';
import { drop, markHealed, take } from '../tables/sidecar-changes.ts';

/** A segment to which manifests want to take references. */
export interface WantedSegment {
  readonly segment: NewSegment;
  /** One for each manifest that wants it. */
  readonly tokens: readonly Token[];
}

/** The outcome of taking references to a segment. */
export interface TakenSegment {
  readonly gen: Generation;
  /** Whether this stored its data. */
  readonly isNew: boolean;
  /** Canonical bytes; 0 unless it is new. */
  readonly length: number;
}

/** A fault in a segment as its writer gave it: it fails the writes that name it, no others. */
export class SegmentFault extends Error {
  readonly failure: VarveError;

  constructor(failure: VarveError) {
    super(failure.message);
    this.failure = failure;
  }
}

const KNOWN_GENERATIONS = 100_000;

/** Generations whose data this process stored or saw. */
export class StoredGenerations extends LRUCache<Address, Generation> {
  constructor() {
    super(atMost(KNOWN_GENERATIONS));
  }
}

/**
 * Takes references to segments for manifests whose `pending` names them (rule
 * `announce-before-taking`), and stores those that are missing.
 */
export class SegmentTaker {
  readonly #protocol: Protocol;
  readonly #stored: StoredGenerations;
  /** Looks at data that this call has under way, by key. */
  readonly #looking = new Map<string, Promise<unknown>>();

  constructor(protocol: Protocol, stored: StoredGenerations) {
    this.#protocol = protocol;
    this.#stored = stored;
  }

  /**
   * Takes references. When it resolves, the data is stored, and the sidecar is at the generation
   * returned and has the tokens or is hot. A failure may leave the tokens in the sidecar: whoever
   * gives up the attempt drops all that its `pending` names.
   *
   * @throws `SegmentFault` when the segment is missing and its writer has no bytes, or wrong ones;
   *   what the store throws.
   */
  async take({ segment, tokens }: WantedSegment): Promise<TakenSegment> {
    const { address, encoding } = segment;
    const source = new Source(segment);
    const isGuess = this.#protocol.sidecars.peek(address) === undefined && source.isReady();
    const begun = new Set<Generation>();
    const taking = {
      tokens,
      storedGeneration: this.#stored.get(address),
      newGeneration: () => {
        const gen = newGeneration(
          this.#protocol.randomness.nonce(),
          encoding,
          source.bytes().length,
        );
        begun.add(gen);
        return gen;
      },
    };
    const sidecar = await this.#protocol.sidecars.change(address, take(taking), {
      assumeAbsent: isGuess,
    });
    if (
      sidecar === undefined ||
      (!sidecar.hot && !tokens.every((token) => sidecar.refs.includes(token)))
    ) {
      throw new VarveError('INTERNAL', `segment ${address} took a reference and does not have it`);
    }
    return this.#ensureData(address, sidecar, source, begun.has(sidecar.gen));
  }

  /**
   * Whether the data of a generation is stored: this process knows, or it looks (rule
   * `trust-only-seen-data`).
   */
  async isStored(address: Address, gen: Generation): Promise<boolean> {
    if (this.#stored.get(address) === gen) return true;
    const key = segmentKey(address, gen);
    let looking = this.#looking.get(key);
    if (looking === undefined) {
      looking = this.#protocol.store.head(key).finally(() => this.#looking.delete(key));
      this.#looking.set(key, looking);
    }
    if ((await looking) === undefined) return false;
    this.#stored.set(address, gen);
    return true;
  }

  /**
   * Stores the bytes of a damaged segment again (rule `heal-on-put`). Returns whether nothing is
   * left to heal; `false`: the bytes are not the segment's.
   */
  async heal(segment: NewSegment): Promise<boolean> {
    const { address } = segment;
    const source = new Source(segment);
    if (!source.isReady()) return false;
    const sidecar = await this.#protocol.sidecars.read(address);
    if (sidecar?.damaged) await this.#ensureData(address, sidecar, source, false);
    return true;
  }

  /** Removes tokens that no manifest can commit any more (rule `fence-before-dropping`). */
  async drop(address: Address, tokens: ReadonlySet<Token>): Promise<void> {
    const { sidecars, serverClock } = this.#protocol;
    await sidecars.change(
      address,
      drop(tokens, () => serverClock.latest()),
    );
  }

  async #ensureData(
    address: Address,
    sidecar: Sidecar,
    source: Source,
    isOwn: boolean,
  ): Promise<TakenSegment> {
    const { gen } = sidecar;
    if (sidecar.damaged) {
      // The same bytes, put again, replace damaged ones, referenced or not (rule `heal-on-put`).
      await this.#put(address, gen, source, { kind: 'any' });
      await this.#protocol.sidecars.change(address, markHealed(gen));
      this.#stored.set(address, gen);
      return { gen, isNew: false, length: 0 };
    }
    // A sidecar may be wrong, so it does not prove that the data is stored (rule
    // `trust-only-seen-data`).
    if (!isOwn && (await this.isStored(address, gen))) return { gen, isNew: false, length: 0 };
    // Somebody else may store it at the same time: both store the same bytes.
    const isNew = await this.#put(address, gen, source, { kind: 'absent' });
    this.#stored.set(address, gen);
    return { gen, isNew, length: isNew ? source.bytes().length : 0 };
  }

  /** Returns whether this stored it; `false`: it was there. */
  async #put(
    address: Address,
    gen: Generation,
    source: Source,
    condition: PutCondition,
  ): Promise<boolean> {
    const { store, settings, serverClock } = this.#protocol;
    const body = encodeSegment(source.bytes(), address, gen, settings.compressionLevel);
    const bounds = this.#protocol.call.step();
    const backoff = new Backoff(this.#protocol, bounds);
    for (;;) {
      const result = await store.put(segmentKey(address, gen), body, condition, bounds);
      if (result.outcome === 'stored') {
        serverClock.observe(result.serverTime);
        return true;
      }
      // A refusal may come from a race that both lost: only a stored object counts.
      if (
        result.outcome === 'refused' &&
        (await store.head(segmentKey(address, gen), bounds)) !== undefined
      )
        return false;
      try {
        await backoff.pause(`storing segment ${address}`);
      } catch (ending) {
        throwIfAborted(bounds.signal);
        const cause = result.outcome === 'unknown' ? result.error : ending;
        const message = `segment ${address} could not be stored: try again later${because(cause)}`;
        throw new VarveError('UNAVAILABLE', message, { cause });
      }
    }
  }
}

/** The bytes of a segment as its writer gives them, read and verified at most once. */
class Source {
  readonly #segment: NewSegment;
  #bytes: Uint8Array | undefined;

  constructor(segment: NewSegment) {
    this.#segment = segment;
  }

  get encoding() {
    return this.#segment.encoding;
  }

  /** Whether the bytes are available and right. */
  isReady(): boolean {
    if (this.#segment.bytes === null) return false;
    try {
      this.bytes();
      return true;
    } catch {
      // If the segment turns out to be stored, its writer's bytes do not matter.
      return false;
    }
  }

  /** @throws `SegmentFault` that says what is wrong. */
  bytes(): Uint8Array {
    if (this.#bytes !== undefined) return this.#bytes;
    try {
      this.#bytes = checkedBytes(this.#segment);
    } catch (error) {
      throw new SegmentFault(asVarveError(error));
    }
    return this.#bytes;
  }
}
