import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import type { HeadVersion } from './head-version.ts';
import { ARCHIVED } from './manifest-codec.ts';
import type { ArchivedAt } from './manifest-record.ts';
import { decodeJson, type JsonFormat } from './stored-json.ts';

/** A stored page of heads, and what it has. */
export interface PageSummary {
  /** The key of its object. */
  readonly key: string;
  /** The first and the last place in the order of archiving. */
  readonly first: ArchivedAt;
  readonly last: ArchivedAt;
  /** The lowest and the highest time of creation; none: infinities are stored as `null`. */
  readonly created: readonly [number, number];
  readonly rows: number;
  readonly tombstones: number;
  readonly logicalBytes: number;
}

/** Pages in the order of their places, which do not overlap. */
export type Run = readonly PageSummary[];

/** The pages that lists read. */
export interface Catalog {
  /** Random, new with every body: no two bodies are ever equal. */
  readonly nonce: string;
  readonly runs: readonly Run[];
  /** Pages that runs had, kept for lists that still read them. */
  readonly retired: readonly RetiredPage[];
  /**
   * Since when the pages are being rebuilt, in ms by the server's clock: meanwhile nobody else
   * swaps the catalog.
   */
  readonly rebuiltSince?: number | undefined;
}

export interface RetiredPage {
  readonly key: string;
  /** When it left the runs, in ms since the epoch by the server's clock. */
  readonly since: number;
}

const count = z.int().min(0);
const CATALOG = z.strictObject({
  v: z.literal(1),
  nonce: z.string(),
  runs: z.array(
    z.array(
      z.tuple([
        z.string(),
        ARCHIVED,
        ARCHIVED,
        z.tuple([z.number().nullable(), z.number().nullable()]),
        count,
        count,
        z.number(),
      ]),
    ),
  ),
  retired: z.array(z.tuple([z.string(), z.number()])),
  rebuiltSince: z.number().optional(),
});

type StoredCatalog = z.infer<typeof CATALOG>;

const FORMAT: JsonFormat<StoredCatalog> = { name: 'catalog of heads', schema: CATALOG };

export function encodeCatalog(catalog: Catalog, objectKey: string): Buffer {
  const { nonce, runs, retired, rebuiltSince } = catalog;
  const rows = runs.map((run) =>
    run.map(({ key, first, last, created, rows, tombstones, logicalBytes }) => [
      key,
      first,
      last,
      created.map((time) => (Number.isFinite(time) ? time : null)),
      rows,
      tombstones,
      logicalBytes,
    ]),
  );
  const old = retired.map(({ key, since }) => [key, since]);
  const stored = { v: 1, nonce, runs: rows, retired: old, rebuiltSince };
  const json = Buffer.from(JSON.stringify(stored));
  return encodeSealed(json, sealedAs(objectKey), { checksum: true });
}

/** @throws `CORRUPT`, naming the object; `UNSUPPORTED_FORMAT`. */
export function decodeCatalog(stored: Uint8Array, objectKey: string): Catalog {
  const json = decodeSealed(stored, sealedAs(objectKey), objectKey);
  const { nonce, runs, retired, rebuiltSince } = decodeJson(json, FORMAT, objectKey);
  return {
    nonce,
    rebuiltSince,
    retired: retired.map(([key, since]) => ({ key, since })),
    runs: runs.map((run) =>
      run.map(([key, first, last, [low, high], rows, tombstones, logicalBytes]) => ({
        key,
        first,
        last,
        created: [low ?? Number.POSITIVE_INFINITY, high ?? Number.NEGATIVE_INFINITY],
        rows,
        tombstones,
        logicalBytes,
      })),
    ),
  };
}

/** The summary of versions in the order of their places; there is at least one. */
export function summaryOf(key: string, versions: readonly HeadVersion[]): PageSummary {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let tombstones = 0;
  let logicalBytes = 0;
  for (const { head } of versions) {
    if (head === undefined) tombstones++;
    else {
      low = Math.min(low, head.createdAt);
      high = Math.max(high, head.createdAt);
      logicalBytes += head.logicalBytes;
    }
  }
  return {
    key,
    first: (versions[0] as HeadVersion).archived,
    last: (versions.at(-1) as HeadVersion).archived,
    created: [low, high],
    rows: versions.length,
    tombstones,
    logicalBytes,
  };
}

function sealedAs(objectKey: string): SealedAs {
  return { role: 'catalog', identity: objectKey };
}
