import { hash } from 'node:crypto';
import { type Address, addressOf } from '../../../core/address.ts';
import type { VarveError } from '../../../core/errors.ts';
import {
  decideAppend,
  decideDelete,
  decideHold,
  decidePut,
  outcomeWithoutSegments,
} from '../../contract/decide.ts';
import type {
  AppendWrite,
  DeleteWrite,
  HoldWrite,
  ManifestFields,
  ManifestKey,
  ManifestWrite,
  NewEntry,
  NewSegment,
  PutWrite,
  WriteOutcome,
  WriteSuccess,
} from '../../contract/manifests.ts';
import { asVarveError } from '../../contract/write-validation.ts';
import {
  type ArchivedAt,
  type DraftContent,
  entryCountOf,
  type RecordEntry,
  revisionOf,
} from '../format/manifest-record.ts';
import type { AttemptId } from '../format/sidecar.ts';
import { neededBy } from '../format/spill.ts';

/** A write and its position in its call. */
export interface PlacedWrite {
  readonly position: number;
  readonly write: ManifestWrite;
}

export interface FoldContext {
  readonly key: ManifestKey;
  /** Names the resulting revisions. */
  readonly attempt: AttemptId;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Of the first write of the call; the others follow. */
  readonly archived: ArchivedAt;
  /** Segments of the stored content that cannot be read. */
  readonly lost: ReadonlySet<Address>;
  /** The idempotency keys in pages of the stored content. Throws why they cannot be read. */
  readonly olderKeys: () => ReadonlySet<string>;
  /** Why the stored content still has pages although a put compares it. */
  readonly unread?: VarveError | undefined;
}

/** The result of writes to a manifest's content. */
export interface Folded {
  readonly content: DraftContent | undefined;
  readonly isChanged: boolean;
  /** By position; `newSegments` and `newBytes` are left at 0. */
  readonly outcomes: ReadonlyMap<number, WriteOutcome>;
  /** Sources of bytes for the segments that the writes name. */
  readonly sources: ReadonlyMap<Address, NewSegment>;
  /** Segments that a successful write declares to be stored. */
  readonly named: ReadonlySet<Address>;
}

/**
 * Applies writes to a manifest's content, in order, each whole or not at all; the contract decides
 * what a write means. Pure: call it again when the content turns out to be another, so that every
 * predicate is judged on the very body that is replaced.
 */
export function fold(
  stored: DraftContent | undefined,
  writes: readonly PlacedWrite[],
  context: FoldContext,
): Folded {
  const outcomes = new Map<number, WriteOutcome>();
  const sources = new Map<Address, NewSegment>();
  const named = new Set<Address>();
  let content = stored;
  for (const { position, write } of writes) {
    try {
      const step = takenAgain(apply(content, position, write, context), write, context.lost);
      content = step.content;
      outcomes.set(position, step.outcome);
      for (const address of namedBy(step, write)) named.add(address);
      if (step.isChanged && 'entries' in write) addSources(sources, write.entries);
    } catch (error) {
      outcomes.set(position, { status: 'failed', error: asVarveError(error) });
    }
  }
  return { content, isChanged: content !== stored, outcomes, sources, named };
}

/**
 * The segments that a write says are stored: after a put all that the manifest has, after an append
 * those that it names, after a write that was skipped none.
 */
function* namedBy(
  { content, outcome }: Step,
  write: ManifestWrite,
): Generator<Address, void, undefined> {
  if (!('entries' in write) || outcome.status === 'skipped') return;
  if (write.operation === 'put') for (const entry of content?.entries ?? []) yield* neededBy(entry);
  else for (const { segments } of write.entries) for (const { address } of segments) yield address;
}

/**
 * Lets a write that changes nothing bring back what is lost: the outcome stays, the segments are
 * taken again.
 */
function takenAgain(step: Step, write: ManifestWrite, lost: ReadonlySet<Address>): Step {
  const { content, outcome, isChanged } = step;
  if (lost.size === 0 || content === undefined || isChanged || !('entries' in write)) return step;
  if (![...namedBy(step, write)].some((address) => lost.has(address))) return step;
  // Bodies that were spilled are spilled again from what the writer has.
  const entries = write.operation === 'put' ? write.entries.map(recordEntry) : content.entries;
  return { content: { ...content, entries }, isChanged: true, outcome };
}

/** The result of one write. */
interface Step {
  readonly content: DraftContent | undefined;
  readonly isChanged: boolean;
  readonly outcome: WriteOutcome;
}

function apply(
  content: DraftContent | undefined,
  position: number,
  write: ManifestWrite,
  context: FoldContext,
): Step {
  switch (write.operation) {
    case 'put':
      return put(content, position, write, context);
    case 'append':
      return append(content, position, write, context);
    case 'delete':
      return remove(content, write);
    case 'hold':
      return hold(content, write, context);
  }
}

function put(
  content: DraftContent | undefined,
  position: number,
  write: PutWrite,
  context: FoldContext,
): Step {
  const status = decidePut(write, content, () =>
    isSame(content as DraftContent, write, context.unread),
  );
  if (status === 'unchanged' || status === 'skipped') return step(content, status, content);
  const revision = revisionOf(context.attempt, position);
  const created: DraftContent = {
    ...definedFields(write.fields),
    revision,
    createdAt: write.fields.createdAt ?? context.now,
    updatedAt: context.now,
    archived: content?.archived ?? [context.archived[0], context.archived[1] + position],
    logicalBytes: write.fields.logicalBytes,
    pages: [],
    keyPages: [],
    idempotencyKeys: [],
    entries: write.entries.map(recordEntry),
  };
  return step(content, status, created);
}

function append(
  content: DraftContent | undefined,
  position: number,
  write: AppendWrite,
  context: FoldContext,
): Step {
  const status = decideAppend(write, content, (key, before) => hasTaken(key, before, context));
  if (status === 'unchanged') return step(content, status, content);
  const before = content as DraftContent;
  const { idempotencyKey, entries, fields = {} } = write;
  const longer: DraftContent = {
    ...before,
    ...definedFields(fields),
    logicalBytes: before.logicalBytes + write.logicalBytes,
    revision: revisionOf(context.attempt, position),
    updatedAt: context.now,
    idempotencyKeys:
      idempotencyKey === undefined
        ? before.idempotencyKeys
        : [...before.idempotencyKeys, shortName(idempotencyKey)],
    entries: [...before.entries, ...entries.map(recordEntry)],
  };
  return step(content, status, longer);
}

function remove(content: DraftContent | undefined, write: DeleteWrite): Step {
  const status = decideDelete(write, content);
  return step(content, status, undefined);
}

function hold(content: DraftContent | undefined, write: HoldWrite, { now }: FoldContext): Step {
  const decision = decideHold(write, content, now);
  if (decision.status === 'unchanged') return step(content, decision.status, content);
  const { hold: _, ...free } = content as DraftContent;
  if (decision.status === 'released') return step(content, decision.status, free);
  return step(content, decision.status, { ...free, hold: decision.hold });
}

function step(
  before: DraftContent | undefined,
  status: WriteSuccess['status'],
  after: DraftContent | undefined,
): Step {
  const outcome = outcomeWithoutSegments(status, after?.revision);
  return { content: after, isChanged: after !== before, outcome };
}

function hasTaken(
  idempotencyKey: string,
  { idempotencyKeys, keyPages }: DraftContent,
  { olderKeys }: FoldContext,
): boolean {
  const name = shortName(idempotencyKey);
  return idempotencyKeys.includes(name) || (keyPages.length > 0 && olderKeys().has(name));
}

/** @throws `unread` when pages of the content would have to be compared. */
function isSame(
  content: DraftContent,
  { fields, entries }: PutWrite,
  unread: VarveError | undefined,
): boolean {
  if (entryCountOf(content) !== entries.length) return false;
  if (content.pages.length > 0) throw unread;
  return (
    content.application === fields.application &&
    content.model === fields.model &&
    content.expiresAt === fields.expiresAt &&
    content.logicalBytes === fields.logicalBytes &&
    (fields.createdAt ?? content.createdAt) === content.createdAt &&
    entries.every((entry, at) => isSameEntry(content.entries[at] as RecordEntry, entry))
  );
}

function isSameEntry({ body, segments }: RecordEntry, entry: NewEntry): boolean {
  return (
    segments.length === entry.segments.length &&
    entry.segments.every(({ address }, at) => segments[at] === address) &&
    (body.kind === 'inline'
      ? Buffer.compare(body.bytes, entry.body) === 0
      : body.length === entry.body.length && body.digest === addressOf(entry.body))
  );
}

function recordEntry({ body, segments }: NewEntry): RecordEntry {
  // The caller may reuse its memory before this is stored.
  return {
    body: { kind: 'inline', bytes: new Uint8Array(body) },
    segments: segments.map(({ address }) => address),
  };
}

/** Prefers a writer that has the bytes to one that expects them to be stored. */
function addSources(sources: Map<Address, NewSegment>, entries: readonly NewEntry[]): void {
  for (const { segments } of entries) {
    for (const segment of segments) {
      const known = sources.get(segment.address);
      if (known === undefined || known.bytes === null) sources.set(segment.address, segment);
    }
  }
}

function definedFields(fields: Partial<ManifestFields>): Partial<ManifestFields> {
  const { application, model, createdAt, expiresAt } = fields;
  return {
    ...(application !== undefined && { application }),
    ...(model !== undefined && { model }),
    ...(createdAt !== undefined && { createdAt }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

/** What a record keeps of an idempotency key: 72 bits of its hash. */
function shortName(idempotencyKey: string): string {
  return (hash('sha256', idempotencyKey, 'buffer') as Buffer).subarray(0, 9).toString('base64url');
}
