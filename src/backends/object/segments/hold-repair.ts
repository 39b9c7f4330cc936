import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { holderOf, manifestObjectKey, segmentKey } from '../format/keys.ts';
import { decodeSegment } from '../format/segment-data.ts';
import {
  type Generation,
  newGeneration,
  parseGeneration,
  type Token,
  tokenOf,
} from '../format/sidecar.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { awaitBytes, restore } from '../tables/sidecar-changes.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { SegmentTaker } from './segment-taker.ts';

/** A committed manifest's hold on a segment, as a scan found it. */
export interface FoundHold {
  readonly token: Token;
  readonly key: ManifestKey;
  readonly gen: Generation;
}

/**
 * Brings sidecars and what committed manifests hold together again. References are added, never
 * taken away, so it needs no manifest but those that it was given.
 */
export class HoldRepair {
  readonly #protocol: Protocol;
  readonly #taker: SegmentTaker;
  readonly #hints: Hints;

  constructor(protocol: Protocol, taker: SegmentTaker, hints: Hints) {
    this.#protocol = protocol;
    this.#taker = taker;
    this.#hints = hints;
  }

  /** Those that their manifests have still. */
  async confirm(address: Address, holds: readonly FoundHold[]): Promise<FoundHold[]> {
    const confirmed = await mapAll(holds, async (hold) => {
      const seen = await unlessUnreadable(this.#protocol.manifests.read(hold.key));
      const stored = seen?.record?.current?.holds.get(address);
      const token = stored && tokenOf(holderOf(manifestObjectKey(hold.key)), stored.nonce);
      return token === hold.token && stored?.gen === hold.gen ? [hold] : [];
    });
    return confirmed.flat();
  }

  /** Counts holds at the generation that the sidecar has. Returns whether it does. */
  async count(address: Address, tokens: readonly Token[]): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.change(address, restore(tokens));
    return tokens.every((token) => sidecar?.refs.includes(token));
  }

  /**
   * Moves holds to the generation that the sidecar has, or to a new one: what they hold was given
   * up, and its data may be deleted any moment (rule `never-revive-a-generation`). Data comes from
   * any of `generations`. Without any the sidecar waits, marked, for the next put of the bytes.
   * Returns whether the segment can be read again.
   */
  async move(
    address: Address,
    holds: readonly FoundHold[],
    generations: Iterable<Generation>,
  ): Promise<boolean> {
    const [first] = holds;
    if (first === undefined) return false;
    const { encoding, length } = parseGeneration(first.gen);
    const tokens = holds.map(({ token }) => token);
    const bytes = await this.#bytesOf(address, generations);
    let gen: Generation | undefined;
    if (bytes !== undefined) {
      const segment = { address, encoding, bytes: () => bytes };
      gen = (await this.#taker.take({ segment, tokens })).gen;
    } else {
      await this.#hints.announceDamage(address);
      const fresh = newGeneration(this.#protocol.randomness.nonce(), encoding, length);
      gen = (await this.#protocol.sidecars.change(address, awaitBytes(tokens, fresh)))?.gen;
    }
    if (gen === undefined) return false;
    const moved = await mapAll(holds, (hold) => this.#point(address, hold, gen));
    return bytes !== undefined && moved.every(Boolean);
  }

  /** The bytes of the first generation whose data is whole. */
  async #bytesOf(
    address: Address,
    generations: Iterable<Generation>,
  ): Promise<Uint8Array | undefined> {
    for (const gen of new Set(generations)) {
      const object = await this.#protocol.store.get(segmentKey(address, gen));
      if (object === undefined) continue;
      try {
        return decodeSegment(object.body, address, gen);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
      }
    }
    return undefined;
  }

  /**
   * Has a manifest hold another generation, if it still has the hold. The content and its revision
   * stay.
   */
  async #point(address: Address, { key, token }: FoundHold, gen: Generation): Promise<boolean> {
    const { manifests } = this.#protocol;
    const holder = holderOf(manifestObjectKey(key));
    for (let seen = await manifests.read(key); ; ) {
      const { current, pending = [], releasing = [] } = seen.record ?? {};
      const hold = current?.holds.get(address);
      if (current === undefined || hold === undefined || tokenOf(holder, hold.nonce) !== token)
        return true;
      if (hold.gen === gen) return true;
      const holds = new Map(current.holds).set(address, { ...hold, gen });
      const swapped = await manifests.swap(key, seen, {
        current: { ...current, holds },
        pending,
        releasing,
      });
      if (swapped.isStored) return true;
      seen = swapped.seen;
    }
  }
}
