import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { isVarveError, type VarveError } from '../../../core/errors.ts';
import type {
  ManifestFields,
  NewEntry,
  NewSegment,
  WriteOutcome,
  WriteSuccess,
} from '../../contract/manifests.ts';
import { loadSegment, type PublishWrite } from '../../contract/write-intake.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { AttemptSteps } from './attempt-steps.ts';
import type { CommitBatch } from './commit-batch.ts';
import { keepLeases } from './lease.ts';
import type { ManifestJob } from './manifest-job.ts';

/** Entries are stored once they have gathered this many bytes of segments. */
const FLUSH_BYTES = 8 * 1024 * 1024;

/** What a stream's entries became so far: their bodies, and segments that the attempt holds. */
interface Progress {
  readonly entries: NewEntry[];
  newSegments: number;
  newBytes: number;
}

/**
 * Publishes a manifest whose entries arrive over time. The attempt's `pending` grows with them,
 * always before a sidecar is touched (rule `announce-before-taking`); other writers of the manifest
 * are not held up, and what they do is judged at the end.
 */
export async function publishStream(
  protocol: Protocol,
  steps: AttemptSteps,
  batch: CommitBatch,
  job: ManifestJob,
  write: PublishWrite,
  source: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
): Promise<WriteOutcome> {
  const progress: Progress = { entries: [], newSegments: 0, newBytes: 0 };
  try {
    const fault = await storeEntries(protocol, steps, job, source, progress);
    if (fault !== undefined) {
      await steps.abandon([job]);
      return { status: 'failed', error: fault };
    }
  } catch (error) {
    await steps.abandon([job], isVarveError(error) ? error : undefined);
    throw error;
  }
  job.writes = [
    {
      position: 0,
      write: { ...write, operation: 'put', fields: fields(), entries: progress.entries },
    },
  ];
  const outcome = (await batch.run([job])).get(0) as WriteOutcome;
  if (!['created', 'replaced'].includes(outcome.status)) return outcome;
  const { newSegments, newBytes } = progress;
  return { ...(outcome as WriteSuccess), newSegments, newBytes };
}

/** Stores entries as they arrive. Returns what is wrong with one, if something is. */
async function storeEntries(
  protocol: Protocol,
  steps: AttemptSteps,
  job: ManifestJob,
  source: AsyncIterable<NewEntry>,
  progress: Progress,
): Promise<VarveError | undefined> {
  const { signal } = protocol.call;
  const iterator = source[Symbol.asyncIterator]();
  let isEnded = false;
  try {
    let gathered: NewSegment[] = [];
    let bytes = 0;
    for (;;) {
      throwIfAborted(signal);
      const next = await keepLeases(protocol, [job], iterator.next());
      if (next.done) isEnded = true;
      else {
        throwIfAborted(signal);
        for (const segment of next.value.segments) {
          const loaded = loadSegment(segment);
          gathered.push(loaded.segment);
          bytes += loaded.length;
        }
        progress.entries.push(withoutBytes(next.value));
      }
      if (bytes < FLUSH_BYTES && !isEnded) continue;
      const fault = await storeSegments(protocol, steps, job, gathered, progress);
      if (fault !== undefined || isEnded) return fault;
      gathered = [];
      bytes = 0;
    }
  } finally {
    if (!isEnded) await iterator.return?.();
  }
}

async function storeSegments(
  { call }: Protocol,
  steps: AttemptSteps,
  job: ManifestJob,
  segments: readonly NewSegment[],
  progress: Progress,
): Promise<VarveError | undefined> {
  steps.checkFence(job);
  const missing = new Map<Address, NewSegment>();
  for (const segment of segments) {
    if (!job.taken.has(segment.address)) missing.set(segment.address, segment);
  }
  if (missing.size === 0) return undefined;
  while (!(await steps.announce(job, missing.keys()))) throwIfAborted(call.signal);
  let fault: VarveError | undefined;
  await steps.take(
    [...missing.values()].map((segment) => ({ job, segment })),
    (_, error) => {
      fault ??= error;
    },
  );
  for (const [address, length] of steps.stored) {
    progress.newSegments++;
    progress.newBytes += length;
    steps.stored.delete(address);
  }
  return fault;
}

function withoutBytes({ body, segments }: NewEntry): NewEntry {
  return {
    body,
    segments: segments.map(({ address, encoding }) => ({ address, encoding, bytes: null })),
  };
}
