import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { manifestObjectKey, segmentKey } from '../format/keys.ts';
import { decodeSegment } from '../format/segment-data.ts';
import {
  attemptOfToken,
  type Generation,
  newGeneration,
  parseGeneration,
  type Token,
} from '../format/sidecar.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { holds, readReferences } from '../tables/references.ts';
import { awaitBytes, restore } from '../tables/sidecar-changes.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { rewritePages } from './page-rewriting.ts';

/** A committed manifest's reference to a segment, as a scan found it. */
export interface FoundReference {
  readonly token: Token;
  readonly key: ManifestKey;
  readonly gen: Generation;
}

/**
 * Makes sidecars agree with the references of committed manifests again. It only adds references,
 * so it needs no manifest but those that it was given.
 */
export class ReferenceRepair {
  readonly #protocol: Protocol;
  readonly #taker: SegmentTaker;
  readonly #hints: Hints;

  constructor(protocol: Protocol, taker: SegmentTaker, hints: Hints) {
    this.#protocol = protocol;
    this.#taker = taker;
    this.#hints = hints;
  }

  /** Returns the references that their manifests still have. */
  async confirm(
    address: Address,
    references: readonly FoundReference[],
  ): Promise<FoundReference[]> {
    const confirmed = await mapAll(references, async (reference) => {
      const objectKey = manifestObjectKey(reference.key);
      const found = await unlessUnreadable(readReferences(this.#protocol, objectKey));
      const attempt = attemptOfToken(reference.token);
      const stored = found && holds(found, { address, attempt });
      return stored?.gen === reference.gen ? [reference] : [];
    });
    return confirmed.flat();
  }

  /**
   * Adds references to a sidecar. Returns whether it has them now: it must be at their generation.
   */
  async count(address: Address, tokens: readonly Token[]): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.change(address, restore(tokens));
    return tokens.every((token) => sidecar?.refs.includes(token));
  }

  /**
   * Moves references to the generation that the sidecar has, or to a new one: theirs was given up,
   * and its data may be deleted any moment (rule `never-revive-a-generation`). Data comes from any
   * of `generations`. Without any the sidecar waits, marked, for the next put of the bytes. Returns
   * whether the segment can be read again.
   */
  async move(
    address: Address,
    references: readonly FoundReference[],
    generations: Iterable<Generation>,
  ): Promise<boolean> {
    const [first] = references;
    if (first === undefined) return false;
    const { encoding, length } = parseGeneration(first.gen);
    const tokens = references.map(({ token }) => token);
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
    const moved = await mapAll(references, (reference) => this.#point(address, reference, gen));
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
   * Points a manifest to another generation, if it still has the reference. The content and its
   * revision stay.
   */
  async #point(
    address: Address,
    { key, token }: FoundReference,
    gen: Generation,
  ): Promise<boolean> {
    const { manifests } = this.#protocol;
    const attempt = attemptOfToken(token);
    for (let seen = await manifests.read(key); ; ) {
      const { current, pending = [], dropped = [] } = seen.record ?? {};
      if (current === undefined) return true;
      const reference = current.references.get(address);
      if (reference?.attempt === attempt && reference.gen !== gen) {
        const references = new Map(current.references).set(address, { ...reference, gen });
        const content = { ...current, references };
        const swapped = await manifests.swap(key, seen, { current: content, pending, dropped });
        seen = swapped.seen;
        continue;
      }
      if (current.pages.length === 0) return true;
      const rewriting = { protocol: this.#protocol, taker: this.#taker, hints: this.#hints };
      return rewritePages(rewriting, key, (each) =>
        each.address === address && each.attempt === attempt ? { ...each, gen } : each,
      );
    }
  }
}
