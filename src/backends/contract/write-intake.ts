import { isAddress } from '../../core/address.ts';
import { asInvalid, checkBytes, invalid, reading, shown } from '../../core/arguments.ts';
import type { VarveError } from '../../core/errors.ts';
import type {
  AppendWrite,
  DeleteWrite,
  HoldWrite,
  ManifestFields,
  ManifestWrite,
  NewEntry,
  NewSegment,
  PutWrite,
  Revision,
  WriteFailure,
  WriteOutcome,
} from './manifests.ts';
import {
  checkEntry,
  checkNonce,
  checkReason,
  sizeIn,
  takeFields,
  takeKey,
} from './write-validation.ts';

/**
 * Turns writes from callers into writes that a backend can trust: reads each property once, before
 * anything waits, and checks it. So what a getter throws or a caller changes later affects one
 * write and no other.
 */

/** A put whose entries come as a stream. */
export type PublishWrite = Omit<PutWrite, 'entries' | 'fields'>;

type Attempt<Taken> = { readonly taken: Taken } | WriteFailure;

/**
 * Commits the well-formed writes; each of the others has its failure as its outcome.
 *
 * @throws `INVALID_ARGUMENT` when `given` is not an array; what `commit` throws.
 */
export async function commitTaken(
  given: readonly ManifestWrite[],
  commit: (writes: readonly ManifestWrite[]) => Promise<WriteOutcome[]>,
): Promise<WriteOutcome[]> {
  const attempts = reading('writes', () =>
    readAll('writes', given, (write) => attempt(() => takeWrite(write))),
  );
  const outcomes = await commit(attempts.flatMap((each) => ('taken' in each ? [each.taken] : [])));
  let next = 0;
  return attempts.map((each) => ('taken' in each ? (outcomes[next++] as WriteOutcome) : each));
}

/**
 * Publishes a stream of entries. When the write, an entry or the fields are malformed, that is the
 * outcome, and the stream is closed.
 *
 * @throws what `publish` throws.
 */
export async function publishTaken(
  given: PublishWrite,
  entries: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
  publish: (
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
  ) => Promise<WriteOutcome>,
): Promise<WriteOutcome> {
  const iterator = attempt(() => iteratorOf(entries, fields));
  if (!('taken' in iterator)) return iterator;
  const write = attempt(() => takePublishWrite(given));
  if (!('taken' in write)) {
    await iterator.taken.return?.();
    return write;
  }
  let malformed: VarveError | undefined;
  const noting = <Result>(read: () => Result): Result => {
    const result = attempt(read);
    if ('taken' in result) return result.taken;
    malformed = result.error;
    throw malformed;
  };
  try {
    return await publish(
      write.taken,
      mapped(iterator.taken, (entry) => noting(() => takeEntry(entry))),
      () => noting(() => takeAllFields(fields())),
    );
  } catch (error) {
    if (malformed === undefined || error !== malformed) throw error;
    return { status: 'failed', error: malformed };
  }
}

function takeWrite(given: ManifestWrite): ManifestWrite {
  if (typeof given !== 'object' || given === null)
    throw invalid(`a write must be an object, not ${shown(given)}`);
  const { operation } = given;
  switch (operation) {
    case 'put':
      return {
        ...takePublishWrite(given),
        fields: takeAllFields(given.fields),
        entries: takeEntries(given.entries),
      };
    case 'append':
      return takeAppend(given);
    case 'delete':
      return takeDelete(given);
    case 'hold':
      return takeHold(given);
    default:
      throw invalid(
        `the operation of a write must be put, append, delete or hold, not ${shown(operation)}`,
      );
  }
}

function takePublishWrite({ key, ifExists, ifRevision }: PublishWrite): PublishWrite {
  if (ifExists !== 'error' && ifExists !== 'skip' && ifExists !== 'replace') {
    throw invalid(`ifExists of a write must be error, skip or replace, not ${shown(ifExists)}`);
  }
  return { operation: 'put', key: takeKey(key), ifExists, ...condition(ifRevision) };
}

function takeAppend({
  key,
  ifRevision,
  idempotencyKey,
  logicalBytes,
  fields,
  entries,
}: AppendWrite): AppendWrite {
  if (idempotencyKey !== undefined) checkNonce(idempotencyKey);
  const taken = takeEntries(entries);
  if (idempotencyKey !== undefined && taken.length === 0) {
    throw invalid('an append with an idempotency key needs at least one entry');
  }
  const { logicalBytes: size, ...changed } = takeFields(fields === undefined ? {} : fields);
  if (size !== undefined)
    throw invalid('the fields of an append must not contain logicalBytes: give it beside them');
  return {
    operation: 'append',
    key: takeKey(key),
    ...condition(ifRevision),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    logicalBytes: sizeIn('logicalBytes', logicalBytes),
    fields: changed,
    entries: taken,
  };
}

function takeDelete({ key, ifRevision }: DeleteWrite): DeleteWrite {
  return { operation: 'delete', key: takeKey(key), ...condition(ifRevision) };
}

function takeHold({ key, held, reason, ifRevision }: HoldWrite): HoldWrite {
  if (typeof held !== 'boolean') throw invalid(`held must be true or false, not ${shown(held)}`);
  if (reason !== undefined) checkReason(reason);
  return {
    operation: 'hold',
    key: takeKey(key),
    held,
    ...(reason !== undefined && { reason }),
    ...condition(ifRevision),
  };
}

function takeAllFields(given: ManifestFields): ManifestFields {
  const fields = takeFields(given);
  sizeIn('logicalBytes', fields.logicalBytes);
  return fields as ManifestFields;
}

function condition(ifRevision: Revision | undefined): { readonly ifRevision?: Revision } {
  if (ifRevision === undefined) return {};
  if (typeof ifRevision !== 'string')
    throw invalid(`ifRevision must be a revision, not ${shown(ifRevision)}`);
  return { ifRevision };
}

function takeEntries(given: readonly NewEntry[]): NewEntry[] {
  return readAll('entries', given, takeEntry);
}

function takeEntry(given: NewEntry): NewEntry {
  if (typeof given !== 'object' || given === null)
    throw invalid(`an entry must be an object, not ${shown(given)}`);
  const { body, segments } = given;
  checkBytes('the body of an entry', body);
  const entry = { body, segments: readAll('the segments of an entry', segments, takeSegment) };
  checkEntry(entry);
  return entry;
}

function takeSegment(given: NewSegment): NewSegment {
  if (typeof given !== 'object' || given === null)
    throw invalid(`a segment must be an object, not ${shown(given)}`);
  const { address, encoding, bytes } = given;
  if (!isAddress(address)) {
    throw invalid(
      `the address of a segment must be 64 lower-case hex digits, not ${shown(address)}`,
    );
  }
  if (encoding !== 'bytes' && encoding !== 'tokens') {
    throw invalid(`the encoding of a segment must be bytes or tokens, not ${shown(encoding)}`);
  }
  if (bytes !== null && typeof bytes !== 'function') {
    throw invalid(`bytes of a segment must be a function or null, not ${shown(bytes)}`);
  }
  return { address, encoding, bytes };
}

/**
 * Not an iterable: a caller may pass the same iterator twice, and it would be empty the second
 * time.
 */
function readAll<Given, Taken>(
  what: string,
  given: readonly Given[],
  take: (each: Given) => Taken,
): Taken[] {
  if (!Array.isArray(given)) throw invalid(`${what} must be an array, not ${shown(given)}`);
  return Array.from(given, (each) => take(each));
}

function iteratorOf(entries: AsyncIterable<NewEntry>, fields: unknown): AsyncIterator<NewEntry> {
  if (typeof entries?.[Symbol.asyncIterator] !== 'function') {
    throw invalid(`entries to publish must be an async iterable, not ${shown(entries)}`);
  }
  if (typeof fields !== 'function')
    throw invalid(`fields to publish must be a function, not ${shown(fields)}`);
  return entries[Symbol.asyncIterator]();
}

async function* mapped(
  iterator: AsyncIterator<NewEntry>,
  map: (entry: NewEntry) => NewEntry,
): AsyncGenerator<NewEntry, void, undefined> {
  for await (const entry of { [Symbol.asyncIterator]: () => iterator }) yield map(entry);
}

function attempt<Taken>(take: () => Taken): Attempt<Taken> {
  try {
    return { taken: take() };
  } catch (cause) {
    return { status: 'failed', error: asInvalid('the write cannot be read', cause) };
  }
}
