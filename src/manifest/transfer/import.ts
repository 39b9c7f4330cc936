import type { Backend } from '../../backends/contract/backend.ts';
import type { WriteOutcome } from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { slicesOf } from '../../core/batches.ts';
import { type ByteSource, piecesOf } from '../../core/byte-source.ts';
import { VarveError } from '../../core/errors.ts';
import type { OnEvent, ProgressEvent } from '../../core/events.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { addressing, inTurns, StepMeter, type Steps } from '../../core/steps.ts';
import { Work } from '../../core/work.ts';
import { NOTHING } from '../content/body.ts';
import { RecordEncoder } from '../content/record.ts';
import { ifExistsKind } from '../conversations/conversation-options.ts';
import { ConversationReader } from '../conversations/conversation-reader.ts';
import {
  ConversationWriter,
  type IfExists,
  type RecordToWrite,
} from '../conversations/conversation-writer.ts';
import { derivedId, OccurrenceCounter } from '../conversations/derived-id.ts';
import { type JsonlBatch, type JsonlRecord, MAX_RECORD_BYTES, readJsonl } from './jsonl-reader.ts';

/** How an import goes. */
export interface ImportOptions extends AbortOptions {
  /** As in `Conversations.put`. Default: `error`. */
  readonly ifExists?: IfExists | undefined;
  /**
   * What happens at a record that cannot be stored. `stop` throws; what precedes the record in the
   * file is stored by then, and of what follows it at most the rest of a batch. `skip` continues
   * and lists the record in the report. Default: `stop`.
   */
  readonly onError?: 'stop' | 'skip' | undefined;
  /** Longest record in bytes. Default and maximum: 1 GiB. */
  readonly maxRecordBytes?: number | undefined;
  /**
   * Called after each batch with the counts so far; the argument is also the event that `onEvent`
   * of `openStore` receives.
   */
  readonly onProgress?: ((progress: ImportCounts & ProgressEvent) => void) | undefined;
}

const IMPORT_OPTIONS = declareOptions<ImportOptions>()({
  defaults: { ifExists: 'error', onError: 'stop', maxRecordBytes: MAX_RECORD_BYTES },
  members: (is: OptionKinds) => ({
    ifExists: ifExistsKind(is),
    onError: is.oneOf('stop', 'skip'),
    maxRecordBytes: is.whole(1),
    onProgress: is.callback<NonNullable<ImportOptions['onProgress']>>(),
    signal: is.signal,
  }),
});

/** Options of an import with their defaults. */
type ImportSettings = ReturnType<typeof IMPORT_OPTIONS.read>;

/** What an import did so far. */
export interface ImportCounts {
  /** Records read, well-formed or not. */
  readonly records: number;
  /** Bytes read, white space included. */
  readonly bytes: number;
  readonly created: number;
  readonly unchanged: number;
  readonly appended: number;
  readonly replaced: number;
  readonly skipped: number;
  readonly failed: number;
  /** Segments that were not stored before, and their bytes. */
  readonly newSegments: number;
  readonly newBytes: number;
}

/** A record that could not be stored, and why. */
export interface ImportError {
  /** Counts from 1. */
  readonly lineNumber: number;
  /** Offset of the record's first byte in the source. */
  readonly byteOffset: number;
  readonly id: string | undefined;
  readonly error: VarveError;
}

/** What an import did. */
export interface ImportReport extends ImportCounts {
  /** The first 100 of the `failed` records. */
  readonly errors: readonly ImportError[];
}

const MAX_REPORTED_ERRORS = 100;

/**
 * Stores every record of a JSONL stream as a conversation, in batches, in memory that does not grow
 * with the stream. Importing the same bytes again changes nothing. Records without an id get one
 * derived from their bytes and their number of occurrences in this stream.
 *
 * @throws the first record's error with `onError: 'stop'`, its line number and byte offset in the
 *   message (`MALFORMED_INPUT`, `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `CONFLICT`, …); `TOO_LARGE`
 *   for a record longer than the limit, whatever `onError` says; errors of the store: `NO_SPACE`,
 *   `READ_ONLY`, …, with the number of records stored.
 */
export async function importJsonl(
  backend: Backend,
  source: ByteSource,
  options?: ImportOptions,
  onEvent?: OnEvent,
): Promise<ImportReport> {
  const settings = IMPORT_OPTIONS.read('importJsonl', options);
  const work = new Work('import', onEvent);
  return work.run(() => importAll(backend, source, settings, work));
}

async function importAll(
  backend: Backend,
  source: ByteSource,
  settings: ImportSettings,
  work: Work,
): Promise<ImportReport> {
  const importer = new Importer(backend, settings, work);
  const maxRecordBytes = Math.min(settings.maxRecordBytes, MAX_RECORD_BYTES);
  let committing: Promise<void> = Promise.resolve();
  try {
    for await (const batch of readJsonl(piecesOf(source, settings.signal), { maxRecordBytes })) {
      // Reads and encodes the next batch while this one is being committed.
      const prepared = await inTurns(importer.preparing(batch), settings.signal);
      await committing;
      committing = importer.commit(prepared);
      // A failure is reported where it is awaited.
      committing.catch(() => {});
    }
  } finally {
    await committing;
  }
  return importer.report();
}

/** A record of the source, and its encoded form. */
interface Prepared {
  readonly source: JsonlRecord;
  readonly taken: RecordToWrite | VarveError;
}

class Importer {
  readonly #options: ImportSettings;
  readonly #work: Work;
  readonly #writesTogether: number;
  readonly #encoder: RecordEncoder;
  readonly #writer: ConversationWriter;
  readonly #occurrences = new OccurrenceCounter();
  readonly #counts = {
    records: 0,
    bytes: 0,
    created: 0,
    unchanged: 0,
    appended: 0,
    replaced: 0,
    skipped: 0,
    failed: 0,
    newSegments: 0,
    newBytes: 0,
  };
  readonly #errors: ImportError[] = [];
  /** Bytes that wait for the first record that can be stored. */
  #lead: Buffer = NOTHING;

  constructor(backend: Backend, options: ImportSettings, work: Work) {
    this.#options = options;
    this.#work = work;
    const { inlineBelow, writesTogether } = backend.capabilities;
    this.#writesTogether = writesTogether;
    this.#encoder = new RecordEncoder(inlineBelow);
    this.#writer = new ConversationWriter(backend, new ConversationReader(backend));
  }

  /** Encodes the records of a batch. */
  *preparing({ records, lead }: JsonlBatch): Steps<Prepared[]> {
    throwIfAborted(this.#options.signal);
    const meter = new StepMeter();
    this.#encoder.content.beginBatch();
    if (lead.length > 0) this.#lead = lead;
    this.#counts.bytes += lead.length;
    const prepared: Prepared[] = [];
    for (const source of records) {
      const taken = yield* this.#taking(source);
      prepared.push({ source, taken });
      if (taken instanceof VarveError && this.#stops) break;
      if (meter.add(source.bytes.length)) yield;
    }
    return prepared;
  }

  async commit(prepared: readonly Prepared[]): Promise<void> {
    const { signal, ifExists, onProgress } = this.#options;
    for (const part of slicesOf(prepared, this.#writesTogether)) {
      const records = part.flatMap(({ taken }) => (taken instanceof VarveError ? [] : [taken]));
      const outcomes = await this.#writer
        .write(records, { ifExists, signal })
        .catch((error: unknown) => {
          throw this.#cutShort(error);
        });
      let next = 0;
      let first: ImportError | undefined;
      for (const { source, taken } of part) {
        this.#counts.records++;
        this.#counts.bytes += source.bytes.length + source.terminator.length;
        const failed = taken instanceof VarveError;
        const outcome: WriteOutcome = failed
          ? { status: 'failed', error: taken }
          : (outcomes[next++] as WriteOutcome);
        const error = this.#count(outcome, source, failed ? undefined : taken.id);
        first ??= error;
      }
      const { bytes } = this.#counts;
      const progress = this.#work.progress(
        { phase: 'import', done: bytes, total: 0 },
        this.#counts,
      );
      onProgress?.(progress);
      if (first !== undefined && this.#stops) throw this.#stopped(first);
    }
  }

  report(): ImportReport {
    return { ...this.#counts, errors: [...this.#errors] };
  }

  get #stops(): boolean {
    return this.#options.onError !== 'skip';
  }

  *#taking(source: JsonlRecord): Steps<RecordToWrite | VarveError> {
    try {
      const record = yield* this.#encoder.encoding(source.bytes);
      const lead = this.#lead;
      this.#lead = NOTHING;
      const id = record.id ?? this.#deriveId(yield* addressing(source.bytes));
      return { id, record, terminator: source.terminator, lead };
    } catch (error) {
      if (error instanceof VarveError) return error;
      throw error;
    }
  }

  #deriveId(address: Address): string {
    const id = derivedId(address, 1);
    const occurrence = this.#occurrences.count(id);
    return occurrence === 1 ? id : derivedId(address, occurrence);
  }

  #count(
    outcome: WriteOutcome,
    source: JsonlRecord,
    id: string | undefined,
  ): ImportError | undefined {
    if (outcome.status === 'failed') {
      this.#counts.failed++;
      const error = {
        lineNumber: source.lineNumber,
        byteOffset: source.byteOffset,
        id,
        error: outcome.error,
      };
      if (this.#errors.length < MAX_REPORTED_ERRORS) this.#errors.push(error);
      this.#work.item(error);
      return error;
    }
    const { status, newSegments, newBytes } = outcome;
    if (status === 'deleted' || status === 'absent' || status === 'held' || status === 'released')
      throw new VarveError('INTERNAL', `unexpected status in an import: ${status}`);
    this.#counts[status]++;
    this.#counts.newSegments += newSegments;
    this.#counts.newBytes += newBytes;
    return undefined;
  }

  /** The number of stored records, for messages. */
  get #stored(): string {
    const { created, appended, replaced, unchanged, skipped } = this.#counts;
    const stored = created + appended + replaced + unchanged + skipped;
    return stored === 1 ? '1 record is stored' : `${stored} records are stored`;
  }

  /** Adds how far the import came to an error of the store. */
  #cutShort(error: unknown): unknown {
    if (!(error instanceof VarveError) || error.code === 'ABORTED') return error;
    const stored = error.code === 'OUTCOME_UNKNOWN' ? `at least ${this.#stored}` : this.#stored;
    return new VarveError(error.code, `${error.message}; the import stopped, ${stored}`, {
      cause: error,
    });
  }

  #stopped({ lineNumber, byteOffset, error }: ImportError): VarveError {
    // An invalid id in the data is malformed input, not a wrong argument of the call.
    const code = error.code === 'INVALID_ARGUMENT' ? 'MALFORMED_INPUT' : error.code;
    return new VarveError(
      code,
      `line ${lineNumber} (byte offset ${byteOffset}): ${error.message}; the import ` +
        `stopped, ${this.#stored}`,
      { cause: error },
    );
  }
}
