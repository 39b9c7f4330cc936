import {
  parseSegmentKey,
  referrerOf,
  segmentKey,
  sidecarKey,
} from '../../../src/backends/object/format/keys.ts';
import { decodeRecord } from '../../../src/backends/object/format/manifest-codec.ts';
import {
  type HeldReference,
  heldOf,
  type ManifestRecord,
  pagesOf,
} from '../../../src/backends/object/format/manifest-record.ts';
import { decodePage } from '../../../src/backends/object/format/page.ts';
import { decodeSegment } from '../../../src/backends/object/format/segment-data.ts';
import {
  decodeSidecar,
  type Generation,
  type Sidecar,
  tokenOf,
} from '../../../src/backends/object/format/sidecar.ts';
import type { Address } from '../../../src/core/address.ts';
import type { BucketObject } from '../simulator/bucket.ts';
import type { HeadsChecker } from './heads-checker.ts';
import { check } from './violation.ts';

/** The process in whose name data is damaged. */
export const DAMAGER = 'the damager';

/** Called with every new body of a manifest. */
export type RecordObserver = (
  objectKey: string,
  before: ManifestRecord | undefined,
  now: ManifestRecord,
  process: string,
) => void;

/**
 * Reads the bucket itself after every change, and checks the invariants that must hold at every
 * moment: what is committed can be read, and is counted.
 */
export class BucketChecker {
  /** What each manifest's object has, with the entries of its pages. */
  readonly records = new Map<string, ManifestRecord>();
  /** What each manifest has committed references to, pages and their references included. */
  readonly held = new Map<string, readonly HeldReference[]>();
  readonly sidecars = new Map<Address, Sidecar>();
  /** Generations whose data is stored and undamaged. */
  readonly data = new Map<string, Address>();
  readonly #bytes = new Map<string, Uint8Array>();
  /** Generations whose data is stored and damaged, and those whose data was ever damaged. */
  readonly damaged = new Map<string, Address>();
  readonly everDamaged = new Set<string>();
  /**
   * For each erasure under way: the data that was referenced since it began, and the segments that
   * an attempt has announced.
   */
  readonly #needed = new Set<Set<string>>();
  readonly #bodies = new Map<string, Set<string>>();
  /** Generations that a sidecar has named, and those that it has given up. */
  readonly #named = new Set<string>();
  readonly #abandoned = new Set<string>();
  /** `<address> <token>` of every reference that a `pending` has announced. */
  readonly #announced = new Set<string>();
  /** The process that announced each attempt, by nonce. */
  readonly #owners = new Map<string, string>();
  readonly #onRecord: RecordObserver;
  readonly #isFaultless: boolean;
  readonly #heads: HeadsChecker | undefined;
  /** Whether any segment was ever hot. */
  wasHot = false;

  /**
   * `isFaultless`: no process crashes and no request is late, so that no attempt may be fenced and
   * no reference may be forgotten.
   */
  constructor(onRecord: RecordObserver, isFaultless: boolean, heads?: HeadsChecker) {
    this.#heads = heads;
    this.#onRecord = onRecord;
    this.#isFaultless = isFaultless;
  }

  /**
   * Collects what is needed from now on until the erasure ends: all other data has to be gone by
   * then.
   */
  beginErasure(): { readonly assertDone: () => void; readonly end: () => void } {
    const needed = new Set<string>();
    for (const key of this.records.keys()) this.#addNeeded(needed, key);
    this.#needed.add(needed);
    return {
      assertDone: () => {
        for (const [dataKey, address] of [...this.data, ...this.damaged]) {
          const isNeeded = needed.has(dataKey) || needed.has(address);
          check(
            isNeeded,
            () =>
              `an erasure reports that it is complete, but ${dataKey} is left, which nothing needs`,
          );
        }
      },
      end: () => {
        this.#needed.delete(needed);
      },
    };
  }

  observe(key: string, object: BucketObject | undefined, process: string): void {
    if (key.startsWith('manifests/')) this.#observeRecord(key, object, process);
    else if (key.startsWith('segments/')) this.#observeSegment(key, object, process);
    else {
      this.#heads?.observe(key, object);
      return;
    }
    this.#assertReadable();
  }

  #observeRecord(key: string, object: BucketObject | undefined, process: string): void {
    check(object !== undefined, () => `${key} was deleted: a manifest leaves a tombstone`);
    this.#assertFresh(key, object);
    const stored = decodeRecord(object.body, key, undefined);
    const { record: now, held } = this.#withPages(key, stored);
    const before = this.records.get(key);
    this.records.set(key, now);
    this.held.set(key, held);
    for (const needed of this.#needed) this.#addNeeded(needed, key);
    const referrer = referrerOf(key);
    for (const { attempt, adds } of now.pending) {
      for (const address of adds) this.#announced.add(`${address} ${tokenOf(referrer, attempt)}`);
      if (!this.#owners.has(attempt)) this.#owners.set(attempt, process);
    }
    if (this.#isFaultless && before !== undefined) this.#assertOrderly(key, before, now, process);
    this.#onRecord(key, before, now, process);
    this.#heads?.observeRecord(stored);
  }

  /** The record with the entries of its pages, and all that it references. */
  #withPages(
    objectKey: string,
    record: ManifestRecord,
  ): { readonly record: ManifestRecord; readonly held: readonly HeldReference[] } {
    const { current } = record;
    if (current === undefined) return { record, held: [] };
    const pages = pagesOf(current).map((address) => {
      const gen = current.references.get(address)?.gen;
      const dataKey = gen === undefined ? '' : segmentKey(address, gen);
      const bytes = this.#bytes.get(dataKey);
      check(bytes !== undefined, () => `${objectKey} has the page ${dataKey}, which is not stored`);
      return decodePage(bytes, referrerOf(objectKey), dataKey);
    });
    const entries = [...pages.flatMap((page) => page.entries), ...current.entries];
    const held = [...heldOf(current.references), ...pages.flatMap((page) => page.references)];
    const references = new Map(held.map(({ address, ...reference }) => [address, reference]));
    return { record: { ...record, current: { ...current, entries, references } }, held };
  }

  #addNeeded(needed: Set<string>, objectKey: string): void {
    for (const { address, gen } of this.held.get(objectKey) ?? [])
      needed.add(segmentKey(address, gen));
    for (const { adds } of this.records.get(objectKey)?.pending ?? [])
      for (const address of adds) needed.add(address);
  }

  /** Only its owner ends an attempt, and `dropped` names a reference until its token is gone. */
  #assertOrderly(key: string, before: ManifestRecord, now: ManifestRecord, process: string): void {
    for (const { attempt } of before.pending) {
      const isLeft = now.pending.some((each) => each.attempt === attempt);
      const owner = this.#owners.get(attempt);
      check(
        isLeft || owner === process,
        () => `${key}: ${process} fenced ${owner}, which was alive`,
      );
    }
    for (const { address, attempt } of before.dropped) {
      const token = tokenOf(referrerOf(key), attempt);
      const isForgotten = !now.dropped.some(
        (each) => each.address === address && each.attempt === attempt,
      );
      const sidecar = this.sidecars.get(address);
      const isCounted = !this.wasHot && sidecar?.refs.includes(token) === true;
      check(!isForgotten || !isCounted, () => `${key} forgot to drop ${token}`);
    }
  }

  #observeSegment(key: string, object: BucketObject | undefined, process: string): void {
    const parsed = parseSegmentKey(key);
    check(parsed !== undefined, () => `${key} is not the key of anything`);
    const { address, generation } = parsed;
    if (generation !== undefined) this.#observeData(key, address, generation, object, process);
    else this.#observeSidecar(key, address, object);
  }

  #observeData(
    key: string,
    address: Address,
    generation: Generation,
    object: BucketObject | undefined,
    process: string,
  ): void {
    this.data.delete(key);
    this.damaged.delete(key);
    if (object === undefined) return;
    if (process === DAMAGER) {
      this.damaged.set(key, address);
      this.everDamaged.add(key);
      return;
    }
    check(this.#named.has(key), () => `${key} was written before a sidecar named that generation`);
    this.#bytes.set(key, decodeSegment(object.body, address, generation));
    this.data.set(key, address);
  }

  /** Whether the data of a generation is stored, damaged or not. */
  isStored(dataKey: string): boolean {
    return this.data.has(dataKey) || this.damaged.has(dataKey);
  }

  #observeSidecar(key: string, address: Address, object: BucketObject | undefined): void {
    check(object !== undefined, () => `${key} was deleted: a sidecar leaves a tombstone`);
    this.#assertFresh(key, object);
    const sidecar = decodeSidecar(object.body, key);
    const { gen, state, refs, refCount } = sidecar;
    const dataKey = segmentKey(address, gen);
    check(
      refCount === refs.length,
      () => `${key} counts ${refCount} references and names ${refs.length}`,
    );
    check(new Set(refs).size === refs.length, () => `${key} names a reference twice`);
    const isUsable = state === 'live' || state === 'uploading';
    check(
      !isUsable || !this.#abandoned.has(dataKey),
      () => `${dataKey} is used again after it was given up`,
    );
    check(!sidecar.hot || state === 'live', () => `${key} is hot and ${state}`);
    check(
      state !== 'live' || this.isStored(dataKey),
      () => `${key} is live, and its data is not there`,
    );
    this.wasHot ||= sidecar.hot === true;
    if (!isUsable) this.#abandoned.add(dataKey);
    const before = this.sidecars.get(address);
    if (before !== undefined && before.gen !== gen)
      this.#abandoned.add(segmentKey(address, before.gen));
    this.#named.add(dataKey);
    for (const token of refs) {
      check(
        this.#announced.has(`${address} ${token}`),
        () => `${key} names ${token}, which no manifest has announced`,
      );
    }
    this.sidecars.set(address, sidecar);
  }

  #assertFresh(key: string, { etag }: BucketObject): void {
    const bodies = this.#bodies.get(key);
    if (bodies === undefined) this.#bodies.set(key, new Set([etag]));
    else {
      check(!bodies.has(etag), () => `${key} has a body that it had before`);
      bodies.add(etag);
    }
  }

  /**
   * The data of every committed reference exists, and the sidecar, at that generation, names the
   * reference or keeps the segment without names.
   */
  #assertReadable(): void {
    for (const [objectKey, held] of this.held) {
      for (const { address, gen, attempt } of held) {
        const what = () => `${objectKey} references ${address.slice(0, 8)} at ${gen}`;
        check(this.isStored(segmentKey(address, gen)), () => `${what()}, whose data is not there`);
        const sidecar = this.sidecars.get(address);
        check(sidecar !== undefined, () => `${what()}, which has no sidecar`);
        check(sidecar.gen === gen, () => `${what()}, and its sidecar is at ${sidecar.gen}`);
        check(
          sidecar.state === 'live' || sidecar.state === 'uploading',
          () => `${what()}, which is ${sidecar.state}`,
        );
        const isKept =
          sidecar.refs.includes(tokenOf(referrerOf(objectKey), attempt)) ||
          sidecar.hot ||
          (sidecar.guards?.length ?? 0) > 0;
        check(isKept, () => `${what()}, and ${sidecarKey(address)} does not count it`);
      }
    }
  }
}
