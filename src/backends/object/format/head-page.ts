import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { VarveError } from '../../../core/errors.ts';
import type { Revision } from '../../contract/manifests.ts';
import type { HeadVersion, Place, StoredHead } from './head-version.ts';
import { decodeJson, type JsonFormat } from './stored-json.ts';

/** Most versions on a page. */
export const PAGE_ROWS = 4096;

const LEVEL = 9;

const number = z.number();
const count = z.int().min(0);

/**
 * Columns, which compress better than rows and take less memory. A tombstone's revision is `null`,
 * and the other columns of its head are 0.
 */
const COLUMNS = z.strictObject({
  v: z.literal(1),
  ids: z.array(z.string()),
  /** The order of archiving: ms, and a count within it. */
  archived: z.array(number),
  counts: z.array(count),
  seqs: z.array(count),
  revisions: z.array(z.string().nullable()),
  created: z.array(number),
  updated: z.array(number),
  bytes: z.array(number),
  entries: z.array(count),
  /** Of applications and models. The columns have 0 for none, else one more than the position. */
  names: z.array(z.string()),
  applications: z.array(count),
  models: z.array(count),
  /** Of the rows that have one: the row, and the time to expire. */
  expires: z.array(z.tuple([count, number])),
  /** Of the rows that are held: the row, since when, and the reason. */
  holds: z.array(z.tuple([count, number, z.string().nullable()])),
});

type Columns = z.infer<typeof COLUMNS>;

const FORMAT: JsonFormat<Columns> = { name: 'page of heads', schema: COLUMNS };

/** Versions in the order of their places, each place once. */
export class HeadPage {
  readonly #columns: Columns;
  readonly #expires: ReadonlyMap<number, number>;
  readonly #holds: ReadonlyMap<number, StoredHead['hold'] & object>;

  private constructor(columns: Columns) {
    this.#columns = columns;
    this.#expires = new Map(columns.expires);
    this.#holds = new Map(
      columns.holds.map(([row, since, reason]) => [
        row,
        { since, ...(reason !== null && { reason }) },
      ]),
    );
  }

  static of(versions: readonly HeadVersion[]): HeadPage {
    const names = new Map<string, number>();
    const nameAt = (name: string | undefined) => {
      if (name === undefined) return 0;
      if (!names.has(name)) names.set(name, names.size + 1);
      return names.get(name) as number;
    };
    const columns: Columns = {
      v: 1,
      ids: versions.map(({ id }) => id),
      archived: versions.map(({ archived }) => archived[0]),
      counts: versions.map(({ archived }) => archived[1]),
      seqs: versions.map(({ seq }) => seq),
      revisions: versions.map(({ head }) => head?.revision ?? null),
      created: versions.map(({ head }) => head?.createdAt ?? 0),
      updated: versions.map(({ head }) => head?.updatedAt ?? 0),
      bytes: versions.map(({ head }) => head?.logicalBytes ?? 0),
      entries: versions.map(({ head }) => head?.entryCount ?? 0),
      applications: versions.map(({ head }) => nameAt(head?.application)),
      models: versions.map(({ head }) => nameAt(head?.model)),
      names: [...names.keys()],
      expires: versions.flatMap(({ head }, row): [number, number][] =>
        head?.expiresAt === undefined ? [] : [[row, head.expiresAt]],
      ),
      holds: versions.flatMap(({ head }, row): [number, number, string | null][] =>
        head?.hold === undefined ? [] : [[row, head.hold.since, head.hold.reason ?? null]],
      ),
    };
    return new HeadPage(columns);
  }

  /** @throws `CORRUPT`, naming the object; `UNSUPPORTED_FORMAT`. */
  static decode(stored: Uint8Array, objectKey: string): HeadPage {
    const columns = decodeJson(
      decodeSealed(stored, sealedAs(objectKey), objectKey),
      FORMAT,
      objectKey,
    );
    const { names: _, expires: __, holds: ___, v: ____, ...rows } = columns;
    if (Object.values(rows).some((column) => column.length !== columns.ids.length))
      throw new VarveError('CORRUPT', `${objectKey}: the columns differ in length`);
    return new HeadPage(columns);
  }

  encode(objectKey: string): Buffer {
    const json = Buffer.from(JSON.stringify(this.#columns));
    return encodeSealed(json, sealedAs(objectKey), { level: LEVEL, checksum: true });
  }

  get size(): number {
    return this.#columns.ids.length;
  }

  placeAt(row: number): Place {
    const { ids, archived, counts } = this.#columns;
    return {
      id: ids[row] as string,
      archived: [archived[row] as number, counts[row] as number],
    };
  }

  at(row: number): HeadVersion {
    return {
      ...this.placeAt(row),
      seq: this.#columns.seqs[row] as number,
      head: this.#headAt(row),
    };
  }

  #headAt(row: number): StoredHead | undefined {
    const { revisions, created, updated, bytes, entries } = this.#columns;
    const { names, applications, models } = this.#columns;
    const revision = revisions[row];
    if (revision === null) return undefined;
    const application = names[(applications[row] as number) - 1];
    const model = names[(models[row] as number) - 1];
    const expiresAt = this.#expires.get(row);
    const hold = this.#holds.get(row);
    return {
      revision: revision as Revision,
      ...(application !== undefined && { application }),
      ...(model !== undefined && { model }),
      createdAt: created[row] as number,
      updatedAt: updated[row] as number,
      ...(expiresAt !== undefined && { expiresAt }),
      logicalBytes: bytes[row] as number,
      entryCount: entries[row] as number,
      ...(hold !== undefined && { hold }),
    };
  }
}

function sealedAs(objectKey: string): SealedAs {
  return { role: 'heads', identity: objectKey };
}
