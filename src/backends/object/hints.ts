import { z } from 'zod';
import type { Address } from '../../address.ts';
import { isVarveError, VarveError } from '../../errors.ts';
import type { ManifestKey } from '../manifests.ts';
import type { Clock, Randomness } from './clock.ts';
import {
  DAMAGE_HINTS_PREFIX,
  EXPIRY_HINTS_PREFIX,
  holderOf,
  manifestObjectKey,
  RELEASE_HINTS_PREFIX,
  WRITER_HINTS_PREFIX,
} from './keys.ts';
import type { Release } from './manifest-record.ts';
import type { ObjectStore } from './object-store.ts';
import { decodeJson, type JsonFormat } from './stored-json.ts';

/** How long a writer's mark stands for what it does, in ms: renewed before it does more. */
const WRITER_MARK_MS = 10 * 60 * 1000;

/** What may have become garbage: segments that references were taken from, and the manifests that did. */
export interface ReleaseHint {
  readonly segments: readonly Address[];
  /** Keys of their objects. */
  readonly manifests: readonly string[];
}

export interface ReadReleaseHint extends ReleaseHint {
  /** A later version wrote it: it is left to that version. */
  readonly isNewer?: true;
}

const RELEASE_HINT = z.strictObject({
  v: z.literal(1),
  segments: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
  manifests: z.array(z.string()),
});

const EXPIRY_HINT = z.strictObject({ v: z.literal(1), kind: z.enum(['conversation', 'blob', 'pin']), id: z.string() });

/**
 * Leaves word of what a collection will have to look at, before it comes to be (rule 14): so that its everyday run need not
 * walk the keyspace. Hints say too much rather than too little, and losing one costs space, never content.
 */
export class Hints {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #randomness: Randomness;
  readonly #writerKey: string;
  #markedAt: number | undefined;
  #marking: Promise<void> | undefined;
  #mustStay = false;

  constructor(store: ObjectStore, clock: Clock, randomness: Randomness) {
    this.#store = store;
    this.#clock = clock;
    this.#randomness = randomness;
    this.#writerKey = `${WRITER_HINTS_PREFIX}${randomness.nonce()}`;
  }

  /** Before a `pending` is stored: should this process die, its mark makes a collection look for what it left. */
  async announceWriter(): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#markedAt !== undefined && now - this.#markedAt < WRITER_MARK_MS) return;
    this.#marking ??= this.#mark(now).finally(() => {
      this.#marking = undefined;
    });
    await this.#marking;
  }

  /** Something of this process was left behind: its mark stays when it ends. */
  keepWriter(): void {
    this.#mustStay = true;
  }

  /** Before the swaps that put references into `releasing`. */
  async announceReleases(
    manifests: readonly { readonly objectKey: string; readonly releases: readonly Release[] }[],
  ): Promise<void> {
    const releasing = manifests.filter(({ releases }) => releases.length > 0);
    if (releasing.length === 0) return;
    const hint: ReleaseHint = {
      segments: [...new Set(releasing.flatMap(({ releases }) => releases.map(({ address }) => address)))],
      manifests: releasing.map(({ objectKey }) => objectKey),
    };
    await this.write(hint);
  }

  /** Before a manifest with a time to expire is committed. Such hints sort by that time. */
  async announceExpiry(key: ManifestKey, expiresAt: number): Promise<void> {
    const { kind, id } = key;
    const name = `${expiryPrefix(expiresAt)}-${holderOf(manifestObjectKey(key))}`;
    await this.#put(name, Buffer.from(JSON.stringify({ v: 1, kind, id })));
  }

  /** A segment whose data is damaged: writers that have its bytes heal it. */
  async announceDamage(address: Address): Promise<void> {
    await this.#put(`${DAMAGE_HINTS_PREFIX}${address}`, Buffer.from('{"v":1}'));
  }

  async write(hint: ReleaseHint): Promise<void> {
    const body = Buffer.from(JSON.stringify({ v: 1, ...hint }));
    await this.#put(`${RELEASE_HINTS_PREFIX}${this.#randomness.nonce()}.json`, body);
  }

  async close(): Promise<void> {
    if (this.#markedAt !== undefined && !this.#mustStay) await this.#store.delete([this.#writerKey]);
  }

  async #mark(now: number): Promise<void> {
    await this.#put(this.#writerKey, Buffer.from('{"v":1}'));
    this.#markedAt = now;
  }

  /** A hint that may or may not be there is as good as none: what it announces must not happen. */
  async #put(key: string, body: Uint8Array): Promise<void> {
    const result = await this.#store.put(key, body, { kind: 'any' });
    if (result.outcome === 'stored') return;
    throw new VarveError('UNAVAILABLE', 'the store did not answer: nothing was written; try again later', {
      cause: result.outcome === 'unknown' ? result.error : undefined,
    });
  }
}

/** Sorts as the times do; what is before the epoch has come anyway. */
export function expiryPrefix(expiresAt: number): string {
  const ms = Math.min(Math.max(0, Math.ceil(expiresAt)), Number.MAX_SAFE_INTEGER);
  return `${EXPIRY_HINTS_PREFIX}${String(ms).padStart(16, '0')}`;
}

/** The manifest that a hint names; `undefined` for one that cannot be read, which a full collection makes up for. */
export function readExpiryHint(body: Uint8Array, hintKey: string): ManifestKey | undefined {
  const hint = read(body, { name: 'hint', schema: EXPIRY_HINT }, hintKey);
  return hint === undefined || hint === 'newer' ? undefined : { kind: hint.kind, id: hint.id };
}

/** What a hint names; `undefined` for one that is damaged, which a full collection makes up for. */
export function readReleaseHint(body: Uint8Array, hintKey: string): ReadReleaseHint | undefined {
  const hint = read(body, { name: 'hint', schema: RELEASE_HINT }, hintKey);
  return hint === 'newer' ? { segments: [], manifests: [], isNewer: true } : (hint as ReleaseHint | undefined);
}

function read<Value>(body: Uint8Array, format: JsonFormat<Value>, hintKey: string): Value | 'newer' | undefined {
  try {
    return decodeJson(body, format, hintKey);
  } catch (error) {
    return isVarveError(error, 'UNSUPPORTED_FORMAT') ? 'newer' : undefined;
  }
}
