import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { isVarveError, type VarveError } from '../../../core/errors.ts';
import type {
  ManifestFields,
  NewEntry,
  NewSegment,
  WriteFailure,
  WriteOutcome,
} from '../../contract/manifests.ts';
import { publishInBatches } from '../../contract/publish-in-batches.ts';
import type { PublishWrite } from '../../contract/write-intake.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { AttemptSteps } from './attempt-steps.ts';
import type { CommitBatch } from './commit-batch.ts';
import { keepLeases } from './heartbeat.ts';
import type { ManifestJob } from './manifest-job.ts';

/**
 * Publishes a manifest whose entries arrive over time. The attempt's `pending` grows with them,
 * always before a sidecar is touched (rule `announce-before-taking`). Other writers of the manifest
 * need not wait: their writes are judged at the end. Bodies stay in memory until then.
 */
export function publishStream(
  protocol: Protocol,
  steps: AttemptSteps,
  batch: CommitBatch,
  job: ManifestJob,
  write: PublishWrite,
  source: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
): Promise<WriteOutcome> {
  const entries: NewEntry[] = [];
  return publishInBatches(source, fields, {
    storesBodies: false,
    signal: protocol.call.signal,
    waitFor: (next) => keepLeases(protocol, [job], next),
    store: (arrived) => {
      for (const entry of arrived) entries.push(withoutBytes(entry));
      return storeSegments(
        protocol,
        steps,
        job,
        arrived.flatMap(({ segments }) => segments),
      );
    },
    abandon: (error) => steps.abandon([job], isVarveError(error) ? error : undefined),
    commit: async (given) => {
      const put = { ...write, operation: 'put' as const, fields: given, entries };
      job.writes = [{ position: 0, write: put }];
      return (await batch.run([job])).get(0) as WriteOutcome;
    },
  });
}

async function storeSegments(
  { call }: Protocol,
  steps: AttemptSteps,
  job: ManifestJob,
  segments: readonly NewSegment[],
): Promise<WriteFailure | { newSegments: number; newBytes: number }> {
  steps.checkFence(job);
  const missing = new Map<Address, NewSegment>();
  for (const segment of segments) {
    if (!job.taken.has(segment.address)) missing.set(segment.address, segment);
  }
  if (missing.size === 0) return { newSegments: 0, newBytes: 0 };
  while (!(await steps.announce(job, missing.keys()))) throwIfAborted(call.signal);
  let fault: VarveError | undefined;
  await steps.take(
    [...missing.values()].map((segment) => ({ job, segment })),
    (_, error) => {
      fault ??= error;
    },
  );
  if (fault !== undefined) return { status: 'failed', error: fault };
  const lengths = [...steps.stored.values()];
  steps.stored.clear();
  return { newSegments: lengths.length, newBytes: lengths.reduce((sum, each) => sum + each, 0) };
}

function withoutBytes({ body, segments }: NewEntry): NewEntry {
  return {
    body,
    segments: segments.map(({ address, encoding }) => ({ address, encoding, bytes: null })),
  };
}
