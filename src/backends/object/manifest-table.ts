import { VarveError } from '../../errors.ts';
import type { AbortOptions, ManifestKey } from '../manifests.ts';
import { Backoff } from './backoff.ts';
import type { Foundation } from './foundation.ts';
import { manifestObjectKey } from './keys.ts';
import { decodeRecord, encodeRecord } from './manifest-codec.ts';
import { type ManifestRecord, nextRecord, type RecordChange, wasApplied } from './manifest-record.ts';
import type { PutCondition, PutResult } from './object-store.ts';

/** A manifest's object as it was seen. */
export interface SeenRecord {
  /** `undefined`: there was no object. */
  readonly record: ManifestRecord | undefined;
  readonly etag: string | undefined;
  /** Milliseconds since the epoch by the server's clock; known of what was read. */
  readonly lastModified?: number;
}

export const NOTHING_SEEN: SeenRecord = { record: undefined, etag: undefined };

export type SwapResult =
  /** Stored; `etag` is absent when others have already built on it. */
  | { readonly isStored: true; readonly seen: SeenRecord }
  /** Not stored, and never will be: the object had changed into this. */
  | { readonly isStored: false; readonly seen: SeenRecord };

/** The objects of manifests, changed by compare-and-swap. */
export class ManifestTable {
  readonly #foundation: Foundation;

  constructor(foundation: Foundation) {
    this.#foundation = foundation;
  }

  /** @throws `CORRUPT` when the object is damaged or another manifest's. */
  async read(key: ManifestKey, options: AbortOptions = {}): Promise<SeenRecord> {
    return this.readObject(manifestObjectKey(key), key, options);
  }

  /** As {@link read}, for whoever knows the object and not the manifest. */
  async readObject(objectKey: string, expected?: ManifestKey, options: AbortOptions = {}): Promise<SeenRecord> {
    const object = await this.#foundation.store.get(objectKey, options);
    if (object === undefined) return NOTHING_SEEN;
    this.#foundation.serverClock.observe(object.serverTime);
    const record = decodeRecord(object.body, objectKey, expected);
    if (expected === undefined && manifestObjectKey(record.key) !== objectKey) {
      throw new VarveError('CORRUPT', `${objectKey}: holds ${record.key.kind} ${JSON.stringify(record.key.id)}`);
    }
    return { record, etag: object.etag, lastModified: object.lastModified };
  }

  /**
   * Replaces the object that was seen. Asks with the very same body until it is known what became of it, so that an answer
   * lost on the way is found out: the body is there, or something else is and this one can never come. `signal` ends the
   * waiting only: a request under way is not given up, for it might happen.
   *
   * @throws `OUTCOME_UNKNOWN` when that cannot be decided; `BUSY`; what the store throws.
   */
  async swap(key: ManifestKey, base: SeenRecord, change: RecordChange, signal?: AbortSignal): Promise<SwapResult> {
    const objectKey = manifestObjectKey(key);
    const record = nextRecord(key, base.record, change, this.#foundation.randomness.nonce());
    const body = encodeRecord(record);
    const condition =
      base.etag === undefined ? { kind: 'absent' as const } : { kind: 'match' as const, etag: base.etag };
    const backoff = new Backoff(this.#foundation);
    let mayHaveHappened = false;
    for (;;) {
      const result = await this.#put(objectKey, key, body, condition, mayHaveHappened);
      if (result.outcome === 'stored') {
        this.#foundation.serverClock.observe(result.serverTime);
        return { isStored: true, seen: { record, etag: result.etag } };
      }
      if (result.outcome === 'unknown') mayHaveHappened = true;
      const now = await this.#readAfter(objectKey, key, mayHaveHappened);
      if (now.record?.nonce === record.nonce) return { isStored: true, seen: now };
      if (now.etag !== base.etag) {
        const applied = wasApplied(record, now.record);
        if (applied === true) return { isStored: true, seen: now };
        if (applied === undefined && mayHaveHappened) throw outcomeUnknown(key);
        return { isStored: false, seen: now };
      }
      try {
        await backoff.pause(`changing ${key.kind} ${JSON.stringify(key.id)}`, mayHaveHappened ? undefined : signal);
      } catch (cause) {
        throw mayHaveHappened ? outcomeUnknown(key, cause) : cause;
      }
    }
  }

  /** A request that is turned away says nothing of the one before it. */
  async #put(
    objectKey: string,
    key: ManifestKey,
    body: Uint8Array,
    condition: PutCondition,
    mayHaveHappened: boolean,
  ): Promise<PutResult> {
    try {
      return await this.#foundation.store.put(objectKey, body, condition);
    } catch (cause) {
      throw mayHaveHappened ? outcomeUnknown(key, cause) : cause;
    }
  }

  async #readAfter(objectKey: string, key: ManifestKey, mayHaveHappened: boolean): Promise<SeenRecord> {
    try {
      return await this.readObject(objectKey, key);
    } catch (cause) {
      throw mayHaveHappened ? outcomeUnknown(key, cause) : cause;
    }
  }
}

function outcomeUnknown({ kind, id }: ManifestKey, cause?: unknown): VarveError {
  return new VarveError(
    'OUTCOME_UNKNOWN',
    `${kind} ${JSON.stringify(id)} may or may not have been written: read it before you write it again`,
    { cause },
  );
}
