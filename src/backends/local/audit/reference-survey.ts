import { CountTable } from '../../../core/collections/count-table.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import { MOST_NAMED_MANIFESTS } from '../../contract/findings.ts';
import { FingerprintCheck } from '../fingerprints/fingerprint-check.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, manifestFingerprint } from '../tables/manifest-table.ts';

/** What is wrong with one manifest. */
export interface BrokenManifest {
  readonly row: ManifestRow;
  readonly reason: string;
}

/** The references that the manifests have: the truth that counts are compared with. */
export interface ReferenceSurvey {
  readonly manifests: number;
  /** How many entries reference each segment. */
  readonly references: CountTable;
  /** Bodies that some manifest names. */
  readonly bodies: IdSet;
  readonly broken: BrokenManifest[];
  /** The fingerprints of all manifests. */
  readonly fingerprints: FingerprintCheck;
  /** The manifests that reference a suspect segment, the first hundred of each. */
  readonly holders: Map<number, ManifestRow[]>;
}

type Survey = { -readonly [Field in keyof ReferenceSurvey]: ReferenceSurvey[Field] };

/**
 * Reads every manifest in the order of archiving.
 *
 * @param isSuspect returns whether a segment is missing or damaged.
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
      if (holders.length < MOST_NAMED_MANIFESTS && holders.at(-1) !== row) holders.push(row);
      survey.holders.set(segment, holders);
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    onDamage(error);
    survey.broken.push({ row, reason: error.message });
  }
}
