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
import type { ArchivedAt } from '../format/manifest-record.ts';
import type { Announced, Attempt, Planned } from './attempt.ts';
import { type AttemptContext, abandon, announce, restartIfFenced, take } from './attempt-steps.ts';
import { withHeartbeats } from './heartbeat.ts';
import { ObjectCommit } from './object-commit.ts';
import { WritePlanner } from './write-planner.ts';

/**
 * Publishes a manifest whose entries arrive over time. The attempt's `pending` grows with them,
 * always before a sidecar is touched (rule `announce-before-taking`). Other writers of the manifest
 * need not wait: their writes are judged at the end. Bodies stay in memory until then.
 */
export function publishStream(
  context: AttemptContext,
  attempt: Attempt,
  archived: ArchivedAt,
  write: PublishWrite,
  source: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
): Promise<WriteOutcome> {
  const { protocol } = context;
  const entries: NewEntry[] = [];
  return publishInBatches(source, fields, {
    storesBodies: false,
    signal: protocol.call.signal,
    waitFor: (next) => withHeartbeats(protocol, [attempt], next),
    store: (arrived) => {
      for (const entry of arrived) entries.push(withoutBytes(entry));
      return storeSegments(
        context,
        attempt,
        arrived.flatMap(({ segments }) => segments),
      );
    },
    abandon: (error) => abandon(context, [attempt], isVarveError(error) ? error : undefined),
    commit: async (given) => {
      const put = { ...write, operation: 'put' as const, fields: given, entries };
      const planner = new WritePlanner(attempt, [{ position: 0, write: put }], archived);
      return (await new ObjectCommit(context).run([planner])).get(0) as WriteOutcome;
    },
  });
}

async function storeSegments(
  context: AttemptContext,
  attempt: Attempt,
  segments: readonly NewSegment[],
): Promise<WriteFailure | { newSegments: number; newBytes: number }> {
  restartIfFenced(context, attempt);
  const missing = new Map<Address, NewSegment>();
  for (const segment of segments) {
    if (!attempt.hasTaken(segment.address)) missing.set(segment.address, segment);
  }
  if (missing.size === 0) return { newSegments: 0, newBytes: 0 };
  const announced = await announceUntilStored(context, {
    phase: 'planned',
    attempt,
    plan: { missing },
  });
  let fault: VarveError | undefined;
  await take(context, [announced], (_, __, error) => {
    fault ??= error;
  });
  if (fault !== undefined) return { status: 'failed', error: fault };
  const lengths = [...context.stored.values()];
  context.stored.clear();
  return { newSegments: lengths.length, newBytes: lengths.reduce((sum, each) => sum + each, 0) };
}

async function announceUntilStored(context: AttemptContext, planned: Planned): Promise<Announced> {
  for (;;) {
    await context.journal.writeMark(planned);
    const announced = await announce(context, planned);
    if (announced !== undefined) return announced;
    throwIfAborted(context.protocol.call.signal);
  }
}

function withoutBytes({ body, segments }: NewEntry): NewEntry {
  return {
    body,
    segments: segments.map(({ address, encoding }) => ({ address, encoding, bytes: null })),
  };
}
