import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import type { HeadVersion, StoredHead } from './head-version.ts';
import { ARCHIVED, HEAD_FIELDS } from './manifest-codec.ts';
import type { ArchivedAt, ManifestRecord } from './manifest-record.ts';
import type { AttemptId } from './sidecar.ts';
import { decodeJson, type JsonFormat } from './stored-json.ts';

/** A coming change of a manifest: what lists may show of it from now on. */
export interface JournalEntry {
  readonly id: string;
  /** The number of the body that the first swap of the change replaces; 0: there is no object. */
  readonly base: number;
  readonly attempt: AttemptId;
  /** Each place that the change concerns, and the head that will be there, if one will. */
  readonly places: readonly {
    readonly archived: ArchivedAt;
    readonly head: StoredHead | undefined;
  }[];
}

const count = z.int().min(0);
const HEAD = z.strictObject({ ...HEAD_FIELDS, entryCount: count });

const JOURNAL = z.strictObject({
  v: z.literal(1),
  entries: z.array(
    z.strictObject({
      id: z.string(),
      base: count,
      attempt: z.string(),
      places: z.array(z.tuple([ARCHIVED, HEAD.nullable()])),
    }),
  ),
});

type Journal = z.infer<typeof JOURNAL>;

const FORMAT: JsonFormat<Journal> = { name: 'journal', schema: JOURNAL };

export function encodeJournal(entries: readonly JournalEntry[], objectKey: string): Buffer {
  const rows = entries.map(({ places, ...entry }) => ({
    ...entry,
    places: places.map((place) => [place.archived, place.head ?? null]),
  }));
  const json = Buffer.from(JSON.stringify({ v: 1, entries: rows }));
  return encodeSealed(json, sealedAs(objectKey), { checksum: true });
}

/** @throws `CORRUPT`, naming the object; `UNSUPPORTED_FORMAT`. */
export function decodeJournal(stored: Uint8Array, objectKey: string): JournalEntry[] {
  const json = decodeSealed(stored, sealedAs(objectKey), objectKey);
  const { entries } = decodeJson(json, FORMAT, objectKey);
  return entries.map(({ places, attempt, ...entry }) => ({
    ...entry,
    attempt: attempt as AttemptId,
    places: places.map(([archived, head]) => ({
      archived,
      head: (head ?? undefined) as HeadVersion['head'],
    })),
  }));
}

/**
 * Whether the change has happened or can never happen, judged by the record as it is now: the body
 * that its first swap replaces is gone, and its attempt is not under way (rule
 * `journal-before-change`).
 */
export function isSettled(
  { base, attempt }: Pick<JournalEntry, 'base' | 'attempt'>,
  record: ManifestRecord | undefined,
): record is ManifestRecord {
  return (
    record !== undefined &&
    record.seq > base &&
    !record.pending.some((each) => each.attempt === attempt)
  );
}

function sealedAs(objectKey: string): SealedAs {
  return { role: 'journal', identity: objectKey };
}
