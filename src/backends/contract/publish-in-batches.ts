import { throwIfAborted } from '../../core/abort.ts';
import type {
  ManifestFields,
  NewEntry,
  NewSegment,
  WriteFailure,
  WriteOutcome,
  WriteSuccess,
} from './manifests.ts';
import { readSource } from './write-validation.ts';

/** A batch is stored once it has gathered this many bytes. */
const BATCH_BYTES = 8 * 1024 * 1024;

/** A publication as a backend carries it out. */
export interface BatchedPublication {
  /** Whether {@link store} stores bodies, too: then they count towards the size of a batch. */
  readonly storesBodies: boolean;
  /** Ends the publication. */
  readonly signal: AbortSignal | undefined;
  /** Waits for the next entry, which may take long. */
  waitFor<Result>(next: Promise<Result>): Promise<Result>;
  /** Stores entries so that no manifest names them yet. The last batch may be empty. */
  store(batch: readonly NewEntry[]): Promise<WriteFailure | Pick<WriteSuccess, Counted>>;
  /** Gives up what is stored so far; `error`: why, unless {@link store} returned a failure. */
  abandon(error?: unknown): Promise<void>;
  /** Makes a manifest of the entries; gives them up itself when that fails. */
  commit(fields: ManifestFields): Promise<WriteOutcome>;
}

type Counted = 'newSegments' | 'newBytes';

/**
 * Publishes a manifest whose entries arrive over time: stores them in batches as they come, and
 * commits when they have ended.
 *
 * @param fields called when the entries have ended.
 * @throws what the iterable throws, and what `publication` throws.
 */
export async function publishInBatches(
  entries: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
  publication: BatchedPublication,
): Promise<WriteOutcome> {
  const stored = { newSegments: 0, newBytes: 0 };
  let failure: WriteFailure | undefined;
  let given: ManifestFields | undefined;
  try {
    for await (const batch of batchesOf(entries, publication)) {
      const outcome = await publication.store(batch);
      if ('error' in outcome) {
        failure = outcome;
        break;
      }
      stored.newSegments += outcome.newSegments;
      stored.newBytes += outcome.newBytes;
    }
    if (failure === undefined) given = fields();
  } catch (error) {
    await publication.abandon(error);
    throw error;
  }
  if (failure !== undefined) {
    await publication.abandon();
    return failure;
  }
  const outcome = await publication.commit(given as ManifestFields);
  return outcome.status === 'created' || outcome.status === 'replaced'
    ? { ...outcome, ...stored }
    : outcome;
}

/** Yields the entries in batches whose bytes are in memory. */
async function* batchesOf(
  entries: AsyncIterable<NewEntry>,
  publication: BatchedPublication,
): AsyncGenerator<NewEntry[], void, undefined> {
  const { signal, storesBodies } = publication;
  const iterator = entries[Symbol.asyncIterator]();
  let isEnded = false;
  try {
    let batch: NewEntry[] = [];
    let bytes = 0;
    while (!isEnded) {
      throwIfAborted(signal);
      const next = await publication.waitFor(iterator.next());
      if (next.done) isEnded = true;
      else {
        throwIfAborted(signal);
        const { body, segments } = next.value;
        const loaded = segments.map(loadSegment);
        batch.push({ body, segments: loaded.map(({ segment }) => segment) });
        if (storesBodies) bytes += body.length;
        for (const { length } of loaded) bytes += length;
      }
      if (bytes < BATCH_BYTES && !isEnded) continue;
      yield batch;
      batch = [];
      bytes = 0;
    }
  } finally {
    if (!isEnded) await iterator.return?.();
  }
}

/**
 * Reads the bytes of a segment now, to learn their number. A fault in them surfaces when they are
 * needed.
 */
function loadSegment(segment: NewSegment): {
  readonly segment: NewSegment;
  readonly length: number;
} {
  if (segment.bytes === null) return { segment, length: 0 };
  try {
    const bytes = readSource(segment.address, segment.bytes);
    return { segment: { ...segment, bytes: () => bytes }, length: bytes.length };
  } catch {
    return { segment, length: 0 };
  }
}
