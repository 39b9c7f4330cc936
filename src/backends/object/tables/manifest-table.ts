import { LRUCache } from 'lru-cache';
import { because, VarveError } from '../../../core/errors.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { RequestOptions } from '../../storage/object-store.ts';
import { UnfitService } from '../../storage/service-watch.ts';
import { manifestObjectKey } from '../format/keys.ts';
import { decodeRecord, encodeRecord } from '../format/manifest-codec.ts';
import {
  type ManifestRecord,
  nextRecord,
  type RecordChange,
  wasApplied,
} from '../format/manifest-record.ts';
import { Backoff } from './backoff.ts';
import type { Foundation } from './foundation.ts';

/** A manifest's object as last seen. */
export interface SeenRecord {
  /** `undefined`: there was no object. */
  readonly record: ManifestRecord | undefined;
  readonly etag: string | undefined;
  /** Milliseconds since the epoch by the server's clock; known for objects that were read. */
  readonly lastModified?: number;
}

export const NOTHING_SEEN: SeenRecord = { record: undefined, etag: undefined };

export type SwapResult =
  /** Stored; `etag` is absent when others have already changed the object again. */
  | { readonly isStored: true; readonly seen: SeenRecord }
  /** Not stored, and never will be: the object had changed into this. */
  | { readonly isStored: false; readonly seen: SeenRecord };

/** About the bytes of memory that remembered records take. */
const REMEMBERED_BYTES = 4 * 1024 * 1024;

/** Records that the calls of an open store saw last, by the keys of their objects. */
export class RecordMemory extends LRUCache<string, SeenRecord & { readonly bytes: number }> {
  constructor() {
    super({ maxSize: REMEMBERED_BYTES, sizeCalculation: ({ bytes }) => 4 * bytes + 2000 });
  }
}

/** The objects of manifests, changed by compare-and-swap. */
export class ManifestTable {
  readonly #foundation: Foundation;
  readonly #memory: RecordMemory;

  constructor(foundation: Foundation, memory: RecordMemory) {
    this.#foundation = foundation;
    this.#memory = memory;
  }

  /** @throws `CORRUPT` when the object is damaged or another manifest's. */
  async read(key: ManifestKey, options: RequestOptions = {}): Promise<SeenRecord> {
    return this.readObject(manifestObjectKey(key), key, options);
  }

  /**
   * The object as this process saw it last: the next call may swap it without reading it again.
   * Only good for a guess.
   */
  guess(objectKey: string): SeenRecord {
    return this.#memory.get(objectKey) ?? NOTHING_SEEN;
  }

  /** As {@link read}, for callers that know the object but not the manifest. */
  async readObject(
    objectKey: string,
    expected?: ManifestKey,
    options: RequestOptions = {},
  ): Promise<SeenRecord> {
    const object = await this.#foundation.store.get(objectKey, options);
    if (object === undefined) {
      this.#memory.delete(objectKey);
      return NOTHING_SEEN;
    }
    this.#foundation.serverClock.observe(object.serverTime);
    const record = decodeRecord(object.body, objectKey, expected);
    if (expected === undefined && manifestObjectKey(record.key) !== objectKey) {
      throw new VarveError(
        'CORRUPT',
        `${objectKey}: holds ${record.key.kind} ${JSON.stringify(record.key.id)}`,
      );
    }
    const { etag, lastModified } = object;
    this.#memory.set(objectKey, { record, etag, lastModified, bytes: object.body.length });
    return { record, etag, lastModified };
  }

  /**
   * Replaces the object that was seen. Sends the same body again until its fate is known, so that a
   * lost answer does no harm: the body is stored, or another one is and this one can never be
   * stored. This is one step of the call: its signal and its deadline end the tries, too.
   *
   * @throws `OUTCOME_UNKNOWN` when that is undecided by then; `BUSY`; what the store throws.
   */
  async swap(key: ManifestKey, base: SeenRecord, change: RecordChange): Promise<SwapResult> {
    const objectKey = manifestObjectKey(key);
    const record = nextRecord(key, base.record, change, this.#foundation.randomness.nonce());
    const body = encodeRecord(record);
    const condition =
      base.etag === undefined
        ? { kind: 'absent' as const }
        : { kind: 'match' as const, etag: base.etag };
    const bounds = this.#foundation.call.step();
    const backoff = new Backoff(this.#foundation, bounds);
    let unknown: Error | undefined;
    for (;;) {
      const result = await unlessLost(
        unknown,
        key,
        this.#foundation.store.put(objectKey, body, condition, bounds),
      );
      if (result.outcome === 'stored') {
        this.#foundation.serverClock.observe(result.serverTime);
        const seen = { record, etag: result.etag };
        this.#memory.set(objectKey, { ...seen, bytes: body.length });
        return { isStored: true, seen };
      }
      // The first error explains more than the later lack of time.
      if (result.outcome === 'unknown') unknown ??= result.error;
      // Even what is stored now may get lost.
      if (unknown instanceof UnfitService) throw outcomeUnknown(key, unknown);
      const now = await unlessLost(unknown, key, this.readObject(objectKey, key, bounds));
      if (now.record?.nonce === record.nonce) return { isStored: true, seen: now };
      if (now.etag !== base.etag) {
        const applied = wasApplied(record, now.record);
        if (applied === true) return { isStored: true, seen: now };
        if (applied === undefined && unknown !== undefined) throw outcomeUnknown(key, unknown);
        return { isStored: false, seen: now };
      }
      await unlessLost(
        unknown,
        key,
        backoff.pause(`changing ${key.kind} ${JSON.stringify(key.id)}`),
      );
    }
  }
}

/** What ends a request says nothing about an earlier one that may have happened. */
async function unlessLost<Result>(
  unknown: Error | undefined,
  key: ManifestKey,
  step: Promise<Result>,
): Promise<Result> {
  try {
    return await step;
  } catch (cause) {
    throw unknown === undefined ? cause : outcomeUnknown(key, unknown);
  }
}

function outcomeUnknown({ kind, id }: ManifestKey, cause?: unknown): VarveError {
  return new VarveError(
    'OUTCOME_UNKNOWN',
    `${kind} ${JSON.stringify(id)} may or may not have been written: read it before you ` +
      `write it again${because(cause)}`,
    { cause },
  );
}
