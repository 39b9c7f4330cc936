import { randomUUID } from 'node:crypto';
import { type AbortOptions, throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type {
  ManifestFields,
  NewEntry,
  WriteOutcome,
  WriteSuccess,
} from '../../contract/manifests.ts';
import { loadSegment, type PublishWrite } from '../../contract/write-intake.ts';
import type { LocalKey } from '../tables/manifest-table.ts';
import type { AdoptWrite, LocalWrite } from './commit-transaction.ts';

/** Entries are stored once they have gathered this many bytes of segments. */
const FLUSH_BYTES = 8 * 1024 * 1024;

type Commit = (
  writes: readonly LocalWrite[],
  signal: AbortSignal | undefined,
) => Promise<WriteOutcome[]>;

/**
 * Stores entries as they arrive under a manifest of the internal kind `upload`, and gives them to
 * the manifest they are for in the last transaction. An upload is named after the lock of its
 * process, so that a collection can tell whether it was abandoned.
 */
export async function publishStream(
  commit: Commit,
  owner: string,
  write: PublishWrite,
  entries: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
  { signal }: AbortOptions,
): Promise<WriteOutcome> {
  const upload: LocalKey = { kind: 'upload', id: `${owner}/${randomUUID()}` };
  let newSegments = 0;
  let newBytes = 0;
  let gathered: NewEntry[] = [];
  let isBegun = false;

  const flush = async (): Promise<void> => {
    const batch = gathered;
    gathered = [];
    const staging: LocalWrite = isBegun
      ? { operation: 'append', key: upload, owner: write.key, logicalBytes: 0, entries: batch }
      : {
          operation: 'put',
          key: upload,
          owner: write.key,
          ifExists: 'error',
          fields: { logicalBytes: 0 },
          entries: batch,
        };
    const stored = succeeded(await commit([staging], signal));
    newSegments += stored.newSegments;
    newBytes += stored.newBytes;
    isBegun = true;
  };

  try {
    let bytes = 0;
    for await (const entry of entries) {
      throwIfAborted(signal);
      const loaded = loadEntry(entry);
      gathered.push(loaded.entry);
      bytes += loaded.bytes;
      if (bytes >= FLUSH_BYTES) {
        await flush();
        bytes = 0;
      }
    }
    await flush();
    const adopt: AdoptWrite = { ...write, operation: 'adopt', upload, fields: fields() };
    const outcome = (await commit([adopt], signal))[0] as WriteOutcome;
    if (outcome.status === 'failed') await discard(commit, upload);
    return outcome.status === 'failed' ? outcome : { ...outcome, newSegments, newBytes };
  } catch (error) {
    if (isBegun) await discard(commit, upload);
    if (error instanceof WriteFailed) return { status: 'failed', error: error.failure };
    throw error;
  }
}

function loadEntry(entry: NewEntry): { entry: NewEntry; bytes: number } {
  const loaded = entry.segments.map(loadSegment);
  const bytes = loaded.reduce((sum, { length }) => sum + length, entry.body.length);
  return { entry: { body: entry.body, segments: loaded.map(({ segment }) => segment) }, bytes };
}

/** Removes an upload that will not end; when even that fails, a collection does it. */
async function discard(commit: Commit, upload: LocalKey): Promise<void> {
  try {
    await commit([{ operation: 'delete', key: upload }], undefined);
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
  }
}

class WriteFailed extends Error {
  readonly failure: VarveError;

  constructor(failure: VarveError) {
    super(failure.message);
    this.failure = failure;
  }
}

function succeeded([outcome]: readonly WriteOutcome[]): WriteSuccess {
  if (outcome === undefined)
    throw new VarveError('INTERNAL', 'a commit of one write had no outcome');
  if (outcome.status === 'failed') throw new WriteFailed(outcome.error);
  return outcome;
}
