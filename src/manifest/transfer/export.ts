import type { Backend } from '../../backends/contract/backend.ts';
import type { ManifestHead, ManifestKey } from '../../backends/contract/manifests.ts';
import { whileOpen } from '../../backends/contract/while-open.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { itemsOf } from '../../core/arguments.ts';
import { batchesOf } from '../../core/batches.ts';
import { mapAhead, mapAll } from '../../core/concurrency.ts';
import { isUnreadable, isVarveError, VarveError } from '../../core/errors.ts';
import type { OnEvent, ProgressEvent } from '../../core/events.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { Work } from '../../core/work.ts';
import { LINE_FEED, type StoredReference } from '../content/body.ts';
import { type Composition, visitSkeleton } from '../content/composition.ts';
import { checkId } from '../content/record.ts';
import { idText } from '../content/render.ts';
import { ConversationReader, conversationKey } from '../conversations/conversation-reader.ts';

/** What is exported. */
export interface ExportOptions extends AbortOptions {
  /**
   * The conversations to export, in this order. Default: all, in the order in which they were first
   * stored.
   */
  readonly ids?: Iterable<string> | AsyncIterable<string> | undefined;
  /**
   * Called for each conversation that cannot be read, and is left out. Default: the first such
   * failure is thrown, when all others have been exported.
   */
  readonly onFailure?: ((id: string, error: VarveError) => void) | undefined;
  /**
   * Called after each batch with the counts so far; the argument is also the event that `onEvent`
   * of `openStore` receives.
   */
  readonly onProgress?: ((progress: ExportCounts & ProgressEvent) => void) | undefined;
}

const EXPORT_OPTIONS = declareOptions<ExportOptions>()({
  members: (is: OptionKinds) => ({
    ids: is.of<Iterable<string> | AsyncIterable<string>>(
      isIterable,
      'a list of ids, or another iterable of them',
    ),
    onFailure: is.callback<NonNullable<ExportOptions['onFailure']>>(),
    onProgress: is.callback<NonNullable<ExportOptions['onProgress']>>(),
    signal: is.signal,
  }),
});

/** A string is an iterable of its characters, each of which could be an id. */
function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

/** How much was exported so far. */
export interface ExportCounts {
  readonly conversations: number;
  readonly bytes: number;
}

/** Conversations read at a time, fewer when they are long. */
const BATCH_COUNT = 512;
const BATCH_BYTES = 8 * 1024 * 1024;

/** Batches in memory: the one that is written, and the next. */
const BATCHES_AHEAD = 2;

/** Size of the output's pieces, roughly. */
const PIECE_BYTES = 1024 * 1024;

/**
 * Exports conversations as JSONL, each line byte for byte as it was imported. An import into an
 * empty store comes out as the same bytes. The last line of a file without a final newline gets one
 * when another line follows.
 *
 * @throws at the call `INVALID_ARGUMENT` for invalid options; later `NOT_FOUND` for a given id that
 *   is not stored, after everything before it; without `onFailure`, `CORRUPT` or
 *   `UNSUPPORTED_FORMAT` for the first conversation that cannot be read, after all others.
 */
export function exportJsonl(
  backend: Backend,
  options?: ExportOptions,
  onEvent?: OnEvent,
): AsyncGenerator<Uint8Array, void, undefined> {
  const given = EXPORT_OPTIONS.read('exportJsonl', options);
  const work = new Work('export', onEvent);
  const exporter = new Exporter(backend, given, work);
  return work.each(
    whileOpen(backend, exportAll(backend, given, exporter)),
    () => exporter.counts,
    () => {},
  );
}

async function* exportAll(
  backend: Backend,
  options: ExportOptions,
  exporter: Exporter,
): AsyncGenerator<Uint8Array, void, undefined> {
  const heads =
    options.ids === undefined
      ? backend.list('conversation', {}, options)
      : exporter.heads(options.ids);
  const bytesOf = ({ logicalBytes }: ManifestHead) => logicalBytes;
  // An error comes after the lines of what was listed before it.
  const ending: { rethrow?: () => never } = {};
  const listed = (async function* () {
    try {
      yield* heads;
    } catch (error) {
      ending.rethrow = () => {
        throw error;
      };
    }
  })();
  const batches = batchesOf(listed, { count: BATCH_COUNT, bytes: BATCH_BYTES, bytesOf });
  const loaded = mapAhead(batches, { count: BATCHES_AHEAD }, (heads) => exporter.load(heads));
  for await (const conversations of loaded) yield* exporter.lines(conversations);
  exporter.throwFailure();
  ending.rethrow?.();
}

async function* checkedIds(
  ids: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  for await (const id of itemsOf('ids are', ids)) {
    checkId(id);
    yield id;
  }
}

class Exporter {
  readonly #backend: Backend;
  readonly #options: ExportOptions;
  readonly #reader: ConversationReader;
  readonly #work: Work;
  readonly #counts = { conversations: 0, bytes: 0 };
  /** Whether the output ends with a newline so far, so that another line may follow. */
  #lineEnded = true;
  #output = Buffer.allocUnsafe(PIECE_BYTES);
  #length = 0;
  /** The first failure, unless the caller gave `onFailure`. */
  #failure: VarveError | undefined;

  constructor(backend: Backend, options: ExportOptions, work: Work) {
    this.#work = work;
    this.#backend = backend;
    this.#options = options;
    this.#reader = new ConversationReader(backend);
  }

  /** @throws the first failure, unless the caller gave `onFailure`. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  get counts(): ExportCounts {
    return { ...this.#counts };
  }

  /** Yields the heads of the given ids. */
  async *heads(
    ids: Iterable<string> | AsyncIterable<string>,
  ): AsyncGenerator<ManifestHead, void, undefined> {
    for await (const batch of batchesOf(checkedIds(ids), { count: BATCH_COUNT }))
      yield* this.#headsOf(batch);
  }

  async *#headsOf(ids: readonly string[]): AsyncGenerator<ManifestHead, void, undefined> {
    const heads = await this.#backend.heads(ids.map(conversationKey), this.#options);
    for (const [index, head] of heads.entries()) {
      if (head === undefined)
        throw new VarveError('NOT_FOUND', `there is no conversation ${JSON.stringify(ids[index])}`);
      yield head;
    }
  }

  /** Loads conversations, without those that were deleted meanwhile. */
  async load(heads: readonly ManifestHead[]): Promise<Loaded[]> {
    throwIfAborted(this.#options.signal);
    const keys = heads.map(({ key }) => key);
    return (await this.#load(keys)) ?? (await this.#loadEach(keys));
  }

  /** Yields their lines, in pieces. */
  async *lines(loaded: readonly Loaded[]): AsyncGenerator<Uint8Array, void, undefined> {
    throwIfAborted(this.#options.signal);
    for (const { id, composition, raw } of loaded) {
      const pieces = this.#line(id, composition, raw);
      for (const piece of pieces) {
        // A piece is a view of memory that is never written again.
        if (this.#length + piece.length > this.#output.length && this.#length > 0)
          yield this.#takeOutput();
        if (piece.length >= PIECE_BYTES) yield piece;
        else this.#length += piece.copy(this.#output, this.#length);
      }
      this.#counts.conversations++;
    }
    if (this.#length > 0) yield this.#takeOutput();
    const { bytes } = this.#counts;
    const progress = this.#work.progress({ phase: 'export', done: bytes, total: 0 }, this.#counts);
    this.#options.onProgress?.(progress);
  }

  #takeOutput(): Buffer {
    const output = this.#output.subarray(0, this.#length);
    this.#output = Buffer.allocUnsafe(PIECE_BYTES);
    this.#length = 0;
    return output;
  }

  /** Loads all at once; `undefined` when one cannot be read, or was collected meanwhile. */
  async #load(keys: readonly ManifestKey[]): Promise<Loaded[] | undefined> {
    try {
      const read = await this.#backend.read(keys, this.#options);
      const manifests = read.filter((manifest) => manifest !== undefined);
      const compositions = await mapAll(manifests, (manifest) =>
        this.#reader.composition(manifest, undefined, this.#options),
      );
      const references: StoredReference[] = [];
      for (const { pieces } of compositions)
        for (const piece of pieces)
          for (const reference of piece.references) references.push(reference);
      const raw = await this.#reader.raw(references, this.#options);
      let used = 0;
      return manifests.map((manifest, index) => {
        const composition = compositions[index] as Composition<StoredReference>;
        const count = composition.pieces.reduce((sum, piece) => sum + piece.references.length, 0);
        used += count;
        return { id: manifest.key.id, composition, raw: raw.slice(used - count, used) };
      });
    } catch (error) {
      if (isVarveError(error, 'NOT_FOUND') || isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** Loads one by one; reads those that changed again, and leaves out what cannot be read. */
  async #loadEach(keys: readonly ManifestKey[]): Promise<Loaded[]> {
    const loaded: Loaded[] = [];
    for (const { id } of keys) {
      try {
        const one = await this.#loadOne(id);
        if (one !== undefined) loaded.push(one);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        if (this.#options.onFailure === undefined) this.#failure ??= error;
        else this.#options.onFailure(id, error);
      }
    }
    return loaded;
  }

  #loadOne(id: string): Promise<Loaded | undefined> {
    return this.#reader.read(
      id,
      undefined,
      async (_, composition) => {
        const references = composition.pieces.flatMap((piece) => piece.references);
        return { id, composition, raw: await this.#reader.raw(references, this.#options) };
      },
      this.#options,
    );
  }

  #line(
    id: string,
    { pieces, terminator, lead }: Composition<StoredReference>,
    raw: readonly Buffer[],
  ): Buffer[] {
    const line: Buffer[] = [];
    if (this.#counts.conversations === 0) line.push(lead);
    else if (!this.#lineEnded) line.push(LINE_FEED);
    visitSkeleton(pieces, {
      text: (bytes) => line.push(bytes),
      reference: (_, index) => line.push(raw[index] as Buffer),
      id: () => line.push(idText(id)),
      typedArray: () => {},
    });
    line.push(terminator);
    this.#lineEnded = terminator.includes(0x0a);
    for (const { length } of line) this.#counts.bytes += length;
    return line;
  }
}

interface Loaded {
  readonly id: string;
  readonly composition: Composition<StoredReference>;
  readonly raw: readonly Buffer[];
}
