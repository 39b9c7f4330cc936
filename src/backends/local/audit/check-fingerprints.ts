import type { IdSet } from '../../../core/collections/id-set.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { SEGMENTS } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, manifestEntry } from '../tables/manifest-table.ts';
import { segmentEntry } from '../tables/segment-resolver.ts';
import type { AuditRun, Evidence } from './audit-run.ts';

const ADD = 'add it to the index';

/** Reports segments and manifests that a lookup by fingerprint does not find. */
export async function checkFingerprints(run: AuditRun, evidence: Evidence): Promise<void> {
  const { index, context } = run;
  const { blocks, references } = evidence;
  const turn = () => run.turn('fingerprints', 0, 0);
  const foundSegments = await blocks.fingerprints.found(index.segmentFingerprints, turn);
  const foundManifests = await references.fingerprints.found(index.manifestFingerprints, turn);
  const lostManifests = manifestsWithout(index, foundManifests);
  const segments = await reportSegments(run, evidence, foundSegments, turn);
  const manifests = lostManifests.map((row) => reportManifest(run, row));
  if (!run.options.repair || segments.length + manifests.length === 0) return;
  await context.index.database.write(() => {
    context.index.refresh();
    context.index.segmentFingerprints.add(segments);
    context.index.manifestFingerprints.add(manifests);
    context.index.bumpRuns();
  });
}

async function reportSegments(
  run: AuditRun,
  { blocks, references }: Evidence,
  found: IdSet,
  turn: () => Promise<void>,
): Promise<FingerprintEntry[]> {
  const entries: FingerprintEntry[] = [];
  for (const ids of blocks.present[SEGMENTS]) {
    for (const record of ids) {
      if (found.has(record) || references.references.get(record) === 0) continue;
      const place = run.index.records.locate(SEGMENTS, record);
      if (place === undefined) continue;
      const address = place.directory.address(place.slot);
      entries.push(segmentEntry(address, record));
      run.add({
        kind: 'unindexed',
        message:
          `segment ${address} is stored, but a lookup does not find it, so it would be stored ` +
          'again',
        address,
        repair: ADD,
        repaired: run.options.repair,
        harmful: false,
      });
    }
    await turn();
  }
  return entries;
}

function reportManifest(run: AuditRun, row: ManifestRow): FingerprintEntry {
  const { key } = run.index.manifests.head(row);
  run.add({
    kind: 'unindexed',
    message: `manifest ${JSON.stringify(key.id)} is stored, but a lookup does not find it`,
    manifests: [key],
    repair: ADD,
    repaired: run.options.repair,
    harmful: true,
  });
  return manifestEntry(key, row.id);
}

/** The manifests whose row ids are not in `found`. */
function manifestsWithout(index: LocalIndex, found: IdSet): ManifestRow[] {
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
