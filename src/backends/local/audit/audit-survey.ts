import { CountTable } from '../../../core/collections/count-table.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import { FingerprintCheck } from '../fingerprints/fingerprint-check.ts';
import { type Space, SWEPT } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, manifestFingerprint } from '../tables/manifest-table.ts';

/** What is wrong with one manifest. */
export interface BrokenManifest {
  readonly row: ManifestRow;
  readonly reason: string;
}

/** References as the manifests have them: the truth that counts are compared with. */
export interface ReferenceSurvey {
  readonly manifests: number;
  /** How many entries reference each segment. */
  readonly references: CountTable;
  /** Bodies that some manifest names. */
  readonly bodies: IdSet;
  readonly broken: BrokenManifest[];
  /** The fingerprints of all manifests. */
  readonly fingerprints: FingerprintCheck;
  /** Which manifests reference one of the given records, the first hundred of each. */
  readonly holders: Map<number, ManifestRow[]>;
}

type Survey = { -readonly [Field in keyof ReferenceSurvey]: ReferenceSurvey[Field] };

const HOLDERS = 100;

/**
 * Reads every manifest in the order of archiving.
 *
 * @param isSuspect tells segments that are missing or damaged.
 * @param onDamage may throw to end the survey.
 */
export async function surveyReferences(
  index: LocalIndex,
  isSuspect: (segment: number) => boolean,
  onDamage: (error: VarveError) => void,
  turn: (done: number, total: number) => Promise<void>,
): Promise<ReferenceSurvey> {
  const references = new CountTable();
  const survey: Survey = {
    manifests: 0,
    references,
    bodies: new IdSet(),
    broken: [],
    fingerprints: new FingerprintCheck(),
    holders: new Map(),
  };
  const total = index.database.value<number>('SELECT count(*) FROM manifest') ?? 0;
  for (let last = 0; ; ) {
    const rows = index.database.all<ManifestRow>(
      'SELECT * FROM manifest WHERE id > ? ORDER BY id LIMIT 500',
      last,
    );
    if (rows.length === 0) return survey;
    for (const row of rows) {
      survey.manifests++;
      survey.fingerprints.expect(row.id, manifestFingerprint(index.manifests.key(row)));
      for (const body of index.manifests.bodies(row))
        surveyBody(index, row, body, isSuspect, onDamage, survey);
    }
    last = (rows.at(-1) as ManifestRow).id;
    await turn(survey.manifests, total);
  }
}

/** Manifests of the survey whose row ids are not in `found`. */
export function unindexedManifests(index: LocalIndex, found: IdSet): ManifestRow[] {
  const rows: ManifestRow[] = [];
  for (let last = 0; ; ) {
    const page = index.database.all<{ id: number }>(
      'SELECT id FROM manifest WHERE id > ? ORDER BY id LIMIT 5000',
      last,
    );
    for (const { id } of page) {
      if (found.has(id)) continue;
      const row = index.database.get<ManifestRow>('SELECT * FROM manifest WHERE id = ?', id);
      if (row !== undefined) rows.push(row);
    }
    const end = page.at(-1);
    if (end === undefined) return rows;
    last = end.id;
  }
}

function surveyBody(
  index: LocalIndex,
  row: ManifestRow,
  body: number,
  isSuspect: (segment: number) => boolean,
  onDamage: (error: VarveError) => void,
  survey: ReferenceSurvey,
): void {
  survey.bodies.add(body);
  try {
    for (const segment of new Set(index.body(body, index.manifests.key(row)).segments)) {
      survey.references.add(segment, 1);
      if (!isSuspect(segment)) continue;
      const holders = survey.holders.get(segment) ?? [];
      if (holders.length < HOLDERS && holders.at(-1) !== row) holders.push(row);
      survey.holders.set(segment, holders);
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    onDamage(error);
    survey.broken.push({ row, reason: error.message });
  }
}

/** A record whose stored count is not what the manifests say. */
export interface WrongCount {
  readonly space: Space;
  readonly record: number;
  readonly stored: number;
  readonly actual: number;
}

/**
 * Compares counts with the truth. Records that are swept and unreferenced, or garbage and
 * unreferenced, are as they should be.
 *
 * @param present records that some block holds.
 */
export function* wrongCounts(
  index: LocalIndex,
  space: Space,
  present: readonly Float64Array[],
  actualOf: (record: number) => number,
): Generator<WrongCount, void, undefined> {
  for (const ids of present) {
    if (ids.length === 0) continue;
    const rows = index.database.all<{ record: number; refs: number }>(
      'SELECT record, refs FROM state WHERE space = ? AND record BETWEEN ? AND ?',
      space,
      ids[0],
      ids[ids.length - 1],
    );
    const states = new Map(rows.map(({ record, refs }) => [record, refs]));
    for (const record of ids) {
      const stored = states.get(record) ?? 1;
      const actual = actualOf(record);
      if (Math.max(0, stored) !== actual) yield { space, record, stored, actual };
    }
  }
}

/** How a count reads in a message. */
export function describeCount(count: number): string {
  return count === SWEPT ? 'collected' : String(count);
}

/** The name of a record for messages. */
export function describeRecord(space: Space, record: number): string {
  return `${['segment', 'manifest body', 'log'][space]} record ${record}`;
}
