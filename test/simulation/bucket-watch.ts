import {
  holderOf,
  parseSegmentKey,
  segmentKey,
  sidecarKey,
} from '../../src/backends/object/format/keys.ts';
import { decodeRecord } from '../../src/backends/object/format/manifest-codec.ts';
import type { ManifestRecord } from '../../src/backends/object/format/manifest-record.ts';
import { decodeSegment } from '../../src/backends/object/format/segment-data.ts';
import {
  decodeSidecar,
  type Generation,
  type Sidecar,
  tokenOf,
} from '../../src/backends/object/format/sidecar.ts';
import type { Address } from '../../src/core/address.ts';
import type { BucketObject } from './bucket.ts';
import { promise } from './violation.ts';

/** In whose name data is damaged. */
export const DAMAGER = 'the damager';

/** Told of a manifest's new body. */
export type RecordObserver = (
  objectKey: string,
  before: ManifestRecord | undefined,
  now: ManifestRecord,
  actor: string,
) => void;

/**
 * Looks at the bucket itself after every change, and holds it against the invariants that nobody
 * may break, not for a moment: what is committed is readable, and counted.
 */
export class BucketWatch {
  readonly records = new Map<string, ManifestRecord>();
  readonly sidecars = new Map<Address, Sidecar>();
  /** Generations whose data is stored and right. */
  readonly data = new Map<string, Address>();
  /** Those whose data is stored and was damaged, and those of which it ever was. */
  readonly damaged = new Map<string, Address>();
  readonly everDamaged = new Set<string>();
  /**
   * For each erasure under way, data that was referenced since it began, and segments that somebody
   * was about to reference.
   */
  readonly #needed = new Set<Set<string>>();
  readonly #bodies = new Map<string, Set<string>>();
  /** Generations that a sidecar named, and those that it gave up. */
  readonly #named = new Set<string>();
  readonly #abandoned = new Set<string>();
  /** `<address> <token>` of everything a `pending` ever announced. */
  readonly #announced = new Set<string>();
  /** Who announced each attempt, by nonce. */
  readonly #owners = new Map<string, string>();
  readonly #onRecord: RecordObserver;
  readonly #isKind: boolean;
  /** Whether any segment was ever hot. */
  wasHot = false;

  /**
   * `isKind`: no process is ever late or lost, so that some things may not happen that otherwise
   * may.
   */
  constructor(onRecord: RecordObserver, isKind: boolean) {
    this.#onRecord = onRecord;
    this.#isKind = isKind;
  }

  /**
   * Notes what is needed from now on, until the erasure has ended: all else has to be gone by then.
   */
  beginErasure(): { readonly assertDone: () => void; readonly end: () => void } {
    const needed = new Set<string>();
    for (const record of this.records.values()) addNeeded(needed, record);
    this.#needed.add(needed);
    return {
      assertDone: () => {
        for (const [dataKey, address] of [...this.data, ...this.damaged]) {
          const isNeeded = needed.has(dataKey) || needed.has(address);
          promise(
            isNeeded,
            () => `an erasure is told complete, and ${dataKey} holds what nothing needs`,
          );
        }
      },
      end: () => {
        this.#needed.delete(needed);
      },
    };
  }

  observe(key: string, object: BucketObject | undefined, actor: string): void {
    if (key.startsWith('manifests/')) this.#observeRecord(key, object, actor);
    else if (key.startsWith('segments/')) this.#observeSegment(key, object, actor);
    else return;
    this.#assertReadable();
  }

  #observeRecord(key: string, object: BucketObject | undefined, actor: string): void {
    promise(object !== undefined, () => `${key} was deleted: a manifest leaves a tombstone`);
    this.#assertFresh(key, object);
    const now = decodeRecord(object.body, key, undefined);
    const before = this.records.get(key);
    this.records.set(key, now);
    for (const needed of this.#needed) addNeeded(needed, now);
    const holder = holderOf(key);
    for (const { nonce, adds } of now.pending) {
      for (const address of adds) this.#announced.add(`${address} ${tokenOf(holder, nonce)}`);
      if (!this.#owners.has(nonce)) this.#owners.set(nonce, actor);
    }
    if (this.#isKind && before !== undefined) this.#assertOrderly(key, before, now, actor);
    this.#onRecord(key, before, now, actor);
  }

  /** Attempts end by their owners' hands, and references are let go of before that is forgotten. */
  #assertOrderly(key: string, before: ManifestRecord, now: ManifestRecord, actor: string): void {
    for (const { nonce } of before.pending) {
      const isLeft = now.pending.some((attempt) => attempt.nonce === nonce);
      const owner = this.#owners.get(nonce);
      promise(isLeft || owner === actor, () => `${key}: ${actor} fenced ${owner}, which was alive`);
    }
    for (const { address, nonce } of before.releasing) {
      const token = tokenOf(holderOf(key), nonce);
      const isForgotten = !now.releasing.some(
        (release) => release.address === address && release.nonce === nonce,
      );
      const sidecar = this.sidecars.get(address);
      const isCounted = !this.wasHot && sidecar?.refs.includes(token) === true;
      promise(!isForgotten || !isCounted, () => `${key} forgot to let go of ${token}`);
    }
  }

  #observeSegment(key: string, object: BucketObject | undefined, actor: string): void {
    const parsed = parseSegmentKey(key);
    promise(parsed !== undefined, () => `${key} is no name for anything`);
    const { address, generation } = parsed;
    if (generation !== undefined) this.#observeData(key, address, generation, object, actor);
    else this.#observeSidecar(key, address, object);
  }

  #observeData(
    key: string,
    address: Address,
    generation: Generation,
    object: BucketObject | undefined,
    actor: string,
  ): void {
    this.data.delete(key);
    this.damaged.delete(key);
    if (object === undefined) return;
    if (actor === DAMAGER) {
      this.damaged.set(key, address);
      this.everDamaged.add(key);
      return;
    }
    promise(
      this.#named.has(key),
      () => `${key} was written before a sidecar named that generation`,
    );
    decodeSegment(object.body, address, generation);
    this.data.set(key, address);
  }

  /** Whether the data of a generation is stored, right or damaged. */
  isStored(dataKey: string): boolean {
    return this.data.has(dataKey) || this.damaged.has(dataKey);
  }

  #observeSidecar(key: string, address: Address, object: BucketObject | undefined): void {
    promise(object !== undefined, () => `${key} was deleted: a sidecar leaves a tombstone`);
    this.#assertFresh(key, object);
    const sidecar = decodeSidecar(object.body, key);
    const { gen, state, refs, refCount } = sidecar;
    const dataKey = segmentKey(address, gen);
    promise(
      refCount === refs.length,
      () => `${key} counts ${refCount} references and names ${refs.length}`,
    );
    promise(new Set(refs).size === refs.length, () => `${key} names a reference twice`);
    const isUsable = state === 'live' || state === 'uploading';
    promise(
      !isUsable || !this.#abandoned.has(dataKey),
      () => `${dataKey} came back after it had been given up`,
    );
    promise(!sidecar.hot || state === 'live', () => `${key} is hot and ${state}`);
    promise(
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
      promise(
        this.#announced.has(`${address} ${token}`),
        () => `${key} names ${token}, which nobody has announced`,
      );
    }
    this.sidecars.set(address, sidecar);
  }

  #assertFresh(key: string, { etag }: BucketObject): void {
    const bodies = this.#bodies.get(key);
    if (bodies === undefined) this.#bodies.set(key, new Set([etag]));
    else {
      promise(!bodies.has(etag), () => `${key} has a body that it had before`);
      bodies.add(etag);
    }
  }

  /**
   * Committed ⇒ the data exists, and the sidecar, at that generation, names the reference or keeps
   * everybody's.
   */
  #assertReadable(): void {
    for (const [objectKey, { current }] of this.records) {
      for (const [address, { gen, nonce }] of current?.holds ?? []) {
        const what = () => `${objectKey} holds ${address.slice(0, 8)} at ${gen}`;
        promise(
          this.isStored(segmentKey(address, gen)),
          () => `${what()}, whose data is not there`,
        );
        const sidecar = this.sidecars.get(address);
        promise(sidecar !== undefined, () => `${what()}, which has no sidecar`);
        promise(sidecar.gen === gen, () => `${what()}, and its sidecar is at ${sidecar.gen}`);
        promise(
          sidecar.state === 'live' || sidecar.state === 'uploading',
          () => `${what()}, which is ${sidecar.state}`,
        );
        const isKept =
          sidecar.refs.includes(tokenOf(holderOf(objectKey), nonce)) ||
          sidecar.hot ||
          (sidecar.holds?.length ?? 0) > 0;
        promise(isKept, () => `${what()}, and ${sidecarKey(address)} does not count it`);
      }
    }
  }
}

function addNeeded(needed: Set<string>, { current, pending }: ManifestRecord): void {
  for (const [address, { gen }] of current?.holds ?? []) needed.add(segmentKey(address, gen));
  for (const { adds } of pending) for (const address of adds) needed.add(address);
}
