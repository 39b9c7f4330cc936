import type { Finding } from '../../contract/audit.ts';
import { isStale, reap } from '../commit/reap.ts';
import { manifestObjectKey, manifestOfObjectKey } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import type { ReferenceScan } from '../listing/reference-scan.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import { withPages } from '../tables/references.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { HeadAudit } from './audit-heads.ts';
import type { AuditContext, AuditRun } from './audit-run.ts';
import type { Diagnosis } from './diagnosis.ts';

/** Scans all manifests. Reports unreadable ones, and what crashed writers left in others. */
export async function* auditManifests(
  run: AuditRun,
  scan: ReferenceScan,
  heads: HeadAudit,
): AsyncGenerator<Finding, void, undefined> {
  const { context, unreadableManifests } = run;
  const unreadable: Diagnosis[] = [];
  const stale: Diagnosis[] = [];
  await scan.run(
    {
      onRecord: (seen) => {
        const { record } = seen;
        if (record !== undefined) heads.note(record);
        if (record !== undefined && isStale(context.protocol, seen))
          stale.push(staleWriter(context, seen, record));
      },
      onUnreadable: (objectKey, error) => {
        unreadable.push(unreadableManifest(objectKey, error));
        unreadableManifests.add(objectKey);
      },
    },
    run.options.signal,
  );
  run.tally.manifests = scan.manifests;
  run.progress('reading manifests', scan.manifests);
  yield* run.report([...unreadable, ...stale].map((diagnosis) => [diagnosis]));
}

function unreadableManifest(objectKey: string, error: Error): Diagnosis {
  const key = manifestOfObjectKey(objectKey);
  return {
    finding: {
      kind: 'corrupt-manifest',
      message: `a manifest cannot be read: ${error.message}`,
      location: objectKey,
      manifests: key === undefined ? [] : [key],
      repair: 'none',
      harmful: true,
    },
    mend: undefined,
  };
}

function staleWriter(
  { protocol, taker, hints }: AuditContext,
  seen: SeenRecord,
  { key, dropped }: ManifestRecord,
): Diagnosis {
  const objectKey = manifestObjectKey(key);
  return {
    finding: {
      kind: 'stale-writer',
      message: `a writer of ${key.kind} ${JSON.stringify(key.id)} ended before it had finished`,
      location: objectKey,
      manifests: [],
      repair: 'fence its attempt, and drop the references that it took',
      harmful: false,
    },
    mend: async () => {
      // The hint that the writer stored for what it drops may be lost.
      const inPages = (await unlessUnreadable(withPages(protocol, objectKey, dropped))) ?? [];
      await hints.announceGarbage([{ objectKey, dropped: [...dropped, ...inPages] }]);
      return reap(protocol, taker, hints, seen);
    },
  };
}
