import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { slicesOf } from '../../../core/batches.ts';
import { parseJson } from '../../../core/json.ts';
import type { ManifestHead } from '../../contract/manifests.ts';
import { type ArchivedAt, headOfRecord, type ManifestRecord } from './manifest-record.ts';

/** What a list needs of a manifest, and the tag of the body that contained it. */
export interface ListedManifest {
  readonly objectKey: string;
  readonly etag: string;
  /** `undefined` for a tombstone. */
  readonly head: (ManifestHead & { readonly archived: ArchivedAt }) | undefined;
  /** The number of bodies of the manifest's object; 0 in rollups from before it was stored. */
  readonly seq: number;
}

/** Most heads in one rollup, which limits memory. */
const MAX_ROLLUP_HEADS = 50_000;

/** `seqs` is beside the heads, for readers that do not know it. */
const ROLLUP = z.object({
  v: z.literal(1),
  heads: z.array(z.tuple([z.string(), z.string(), z.looseObject({}).nullable()])),
  seqs: z.array(z.int().min(0)).optional(),
});

export function listed(
  objectKey: string,
  etag: string,
  { key, seq, current }: ManifestRecord,
): ListedManifest {
  const head = current && { ...headOfRecord(key, current), archived: current.archived };
  return { objectKey, etag, head, seq };
}

/**
 * Encodes entries into as many rollups as necessary; yields each with its entries. `newKey` names
 * them.
 */
export function* encodeRollups(
  entries: readonly ListedManifest[],
  newKey: () => string,
): Generator<
  { readonly key: string; readonly body: Buffer; readonly entries: readonly ListedManifest[] },
  void,
  undefined
> {
  for (const part of slicesOf(entries, MAX_ROLLUP_HEADS)) {
    const heads = part.map(({ objectKey, etag, head }) => [objectKey, etag, head ?? null]);
    const seqs = part.map(({ seq }) => seq);
    const key = newKey();
    const json = Buffer.from(JSON.stringify({ v: 1, heads, seqs }));
    yield { key, body: encodeSealed(json, sealedAs(key), { checksum: true }), entries: part };
  }
}

/** An unreadable rollup counts as empty. */
export function decodeRollup(body: Uint8Array, key: string): ListedManifest[] {
  try {
    const json = decodeSealed(body, sealedAs(key), key);
    const { heads, seqs } = ROLLUP.parse(parseJson(json));
    return heads.map(([objectKey, etag, head], at) => ({
      objectKey,
      etag,
      head: (head ?? undefined) as ListedManifest['head'],
      seq: seqs?.[at] ?? 0,
    }));
  } catch {
    return [];
  }
}

function sealedAs(key: string): SealedAs {
  return { role: 'rollup', identity: key };
}

/** The newest of several entries of one manifest; all entries whose order is unknown. */
export function newestOf(entries: Iterable<ListedManifest>): ListedManifest[] {
  const newest = new Map<string, ListedManifest>();
  for (const entry of entries) {
    const known = newest.get(entry.objectKey);
    if (known === undefined || entry.seq >= known.seq) newest.set(entry.objectKey, entry);
  }
  return [...newest.values()];
}
