import { z } from 'zod';
import type { Address } from '../../../core/address.ts';
import { because, isVarveError, VarveError } from '../../../core/errors.ts';
import type { Randomness } from '../../../core/system/clock.ts';
import { MANIFEST_KINDS, type ManifestKey } from '../../contract/manifests.ts';
import { UnfitService } from '../../storage/service-watch.ts';
import { damageHintKey, expiryHintKey, garbageHintKey, writerHintKey } from '../format/keys.ts';
import type { DroppedReference } from '../format/manifest-record.ts';
import { decodeJson, type JsonFormat } from '../format/stored-json.ts';
import type { Foundation } from './foundation.ts';

/** How long a writer's mark covers its work, in ms: renewed before it does more. */
const WRITER_MARK_MS = 10 * 60 * 1000;

/** Possible garbage: segments that lost references, and the manifests that had them. */
export interface GarbageHint {
  readonly segments: readonly Address[];
  /** Keys of their objects. */
  readonly manifests: readonly string[];
}

export interface ReadGarbageHint extends GarbageHint {
  /** A later version wrote it: it is left to that version. */
  readonly isNewer?: true;
}

const GARBAGE_HINT = z.strictObject({
  v: z.literal(1),
  segments: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
  manifests: z.array(z.string()),
});

const EXPIRY_HINT = z.strictObject({
  v: z.literal(1),
  kind: z.enum(MANIFEST_KINDS),
  id: z.string(),
});

/**
 * The mark of a process that may leave unfinished attempts, shared by all calls of an open store.
 */
export class WriterMark {
  readonly key: string;
  /** By the monotonic clock. */
  markedAt: number | undefined;
  marking: Promise<void> | undefined;
  mustStay = false;

  constructor(randomness: Pick<Randomness, 'nonce'>) {
    this.key = writerHintKey(randomness.nonce());
  }
}

/**
 * Writes a hint before garbage can exist (rule `hint-before-change`), so that an everyday
 * collection need not scan all keys. Hints say too much rather than too little, and losing one
 * costs space, never content.
 */
export class Hints {
  readonly #foundation: Pick<Foundation, 'store' | 'clock' | 'randomness'>;
  readonly #mark: WriterMark;

  constructor(foundation: Pick<Foundation, 'store' | 'clock' | 'randomness'>, mark: WriterMark) {
    this.#foundation = foundation;
    this.#mark = mark;
  }

  /**
   * Before a `pending` is stored: if this process dies, its mark makes a collection look for what
   * it left.
   */
  async announceWriter(): Promise<void> {
    const now = this.#foundation.clock.monotonic();
    if (this.#mark.markedAt !== undefined && now - this.#mark.markedAt < WRITER_MARK_MS) return;
    const others = this.#mark.marking;
    if (others !== undefined) {
      try {
        return await others;
      } catch {
        // Another call was to write the mark, and that call has ended.
        return this.announceWriter();
      }
    }
    this.#mark.marking = this.#renewMark(now).finally(() => {
      this.#mark.marking = undefined;
    });
    await this.#mark.marking;
  }

  /** This process has left something behind: its mark stays when it ends. */
  keepWriter(): void {
    this.#mark.mustStay = true;
  }

  /** Before the swaps that put references into `dropped`. */
  async announceGarbage(
    manifests: readonly {
      readonly objectKey: string;
      readonly dropped: readonly DroppedReference[];
    }[],
  ): Promise<void> {
    const dropping = manifests.filter(({ dropped }) => dropped.length > 0);
    if (dropping.length === 0) return;
    const hint: GarbageHint = {
      segments: [
        ...new Set(dropping.flatMap(({ dropped }) => dropped.map(({ address }) => address))),
      ],
      manifests: dropping.map(({ objectKey }) => objectKey),
    };
    await this.write(hint);
  }

  /** Before a manifest with an expiry time is committed. Such hints sort by that time. */
  async announceExpiry(key: ManifestKey, expiresAt: number): Promise<void> {
    const { kind, id } = key;
    await this.#put(expiryHintKey(key, expiresAt), Buffer.from(JSON.stringify({ v: 1, kind, id })));
  }

  /** A segment whose data is damaged: writers that have its bytes heal it. */
  async announceDamage(address: Address): Promise<void> {
    await this.#put(damageHintKey(address), Buffer.from('{"v":1}'));
  }

  async write(hint: GarbageHint): Promise<void> {
    const body = Buffer.from(JSON.stringify({ v: 1, ...hint }));
    await this.#put(garbageHintKey(this.#foundation.randomness.nonce()), body);
  }

  async close(): Promise<void> {
    const { key, markedAt, mustStay } = this.#mark;
    if (markedAt !== undefined && !mustStay) await this.#foundation.store.delete([key]);
  }

  async #renewMark(now: number): Promise<void> {
    await this.#put(this.#mark.key, Buffer.from('{"v":1}'));
    this.#mark.markedAt = now;
  }

  /** A hint that may not be stored counts as missing: what it announces must not happen. */
  async #put(key: string, body: Uint8Array): Promise<void> {
    const result = await this.#foundation.store.put(key, body, { kind: 'any' });
    if (result.outcome === 'stored') return;
    const cause = result.outcome === 'unknown' ? result.error : undefined;
    if (isVarveError(cause, 'ABORTED') || cause instanceof UnfitService) throw cause;
    throw new VarveError('UNAVAILABLE', `nothing was written: try again later${because(cause)}`, {
      cause,
    });
  }
}

/**
 * The manifest that a hint names; `undefined` for an unreadable hint, for which a full collection
 * makes up.
 */
export function readExpiryHint(body: Uint8Array, hintKey: string): ManifestKey | undefined {
  const hint = read(body, { name: 'hint', schema: EXPIRY_HINT }, hintKey);
  return hint === undefined || hint === 'newer' ? undefined : { kind: hint.kind, id: hint.id };
}

/** What a hint names; `undefined` for a damaged hint, for which a full collection makes up. */
export function readGarbageHint(body: Uint8Array, hintKey: string): ReadGarbageHint | undefined {
  const hint = read(body, { name: 'hint', schema: GARBAGE_HINT }, hintKey);
  return hint === 'newer'
    ? { segments: [], manifests: [], isNewer: true }
    : (hint as GarbageHint | undefined);
}

function read<Value>(
  body: Uint8Array,
  format: JsonFormat<Value>,
  hintKey: string,
): Value | 'newer' | undefined {
  try {
    return decodeJson(body, format, hintKey);
  } catch (error) {
    return isVarveError(error, 'UNSUPPORTED_FORMAT') ? 'newer' : undefined;
  }
}
