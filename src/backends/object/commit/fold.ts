import { hash } from 'node:crypto';
import { type Address, addressOf } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
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
} from '../../contract/manifests.ts';
import { asVarveError, heldError } from '../../contract/write-validation.ts';
import {
  type ArchivedAt,
  type DraftContent,
  type RecordEntry,
  revisionOf,
} from '../format/manifest-record.ts';
import { neededBy } from '../format/spill.ts';

/** A write and its place among those that were handed in together. */
export interface PlacedWrite {
  readonly position: number;
  readonly write: ManifestWrite;
}

export interface FoldContext {
  readonly key: ManifestKey;
  /** Names the revisions that come of it. */
  readonly nonce: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Of the first of the writes that were handed in together; the others follow. */
  readonly archived: ArchivedAt;
  /** Segments that the stored content holds and that cannot be read. */
  readonly lost: ReadonlySet<Address>;
}

/** What writes make of a manifest's content. */
export interface Folded {
  readonly content: DraftContent | undefined;
  readonly isChanged: boolean;
  /** By position; `newSegments` and `newBytes` are left at 0. */
  readonly outcomes: ReadonlyMap<number, WriteOutcome>;
  /** Where the bytes of segments that the writes name may come from. */
  readonly sources: ReadonlyMap<Address, NewSegment>;
  /** Segments that a write which does not fail says are stored. */
  readonly named: ReadonlySet<Address>;
}

const NOTHING_NEW = { newSegments: 0, newBytes: 0 };

/**
 * Applies writes to a manifest's content, in order, each whole or not at all. Pure: it is asked
 * again whenever the content turns out to be another, so that every predicate is judged on the very
 * body that is replaced.
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
 * A put says so of all that the manifest has, an append of what it names; a write that was skipped
 * of nothing.
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
 * Has a write that changes nothing bring back what was lost: its outcome stays, its segments are
 * taken anew.
 */
function takenAgain(step: Step, write: ManifestWrite, lost: ReadonlySet<Address>): Step {
  const { content, outcome, isChanged } = step;
  if (lost.size === 0 || content === undefined || isChanged || !('entries' in write)) return step;
  if (![...namedBy(step, write)].some((address) => lost.has(address))) return step;
  // Bodies that were spilled are spilled again from what the writer has.
  const entries = write.operation === 'put' ? write.entries.map(recordEntry) : content.entries;
  return { content: { ...content, entries }, isChanged: true, outcome };
}

/** What becomes of content by one write. */
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
  if (write.ifRevision !== undefined && write.ifRevision !== content?.revision)
    throw conflict(write.key);
  if (content !== undefined) {
    const same = (status: 'unchanged' | 'skipped'): Step => ({
      content,
      isChanged: false,
      outcome: { status, revision: content.revision, ...NOTHING_NEW },
    });
    if (isSame(content, write)) return same('unchanged');
    if (write.ifExists === 'skip') return same('skipped');
    if (write.ifExists === 'error') {
      throw new VarveError(
        'ALREADY_EXISTS',
        `${nameOf(write.key)} exists with other content: choose what to do with ifExists ` +
          '(skip, replace or append)',
      );
    }
    if (content.hold !== undefined) throw heldError(write.key, content.hold);
  }
  const revision = revisionOf(context.nonce, position);
  const created: DraftContent = {
    ...definedFields(write.fields),
    revision,
    createdAt: write.fields.createdAt ?? context.now,
    updatedAt: context.now,
    archived: content?.archived ?? [context.archived[0], context.archived[1] + position],
    logicalBytes: write.fields.logicalBytes,
    idempotencyKeys: [],
    entries: write.entries.map(recordEntry),
  };
  return {
    content: created,
    isChanged: true,
    outcome: { status: content === undefined ? 'created' : 'replaced', revision, ...NOTHING_NEW },
  };
}

function append(
  content: DraftContent | undefined,
  position: number,
  write: AppendWrite,
  context: FoldContext,
): Step {
  const { idempotencyKey, entries, fields = {} } = write;
  if (content === undefined) {
    throw new VarveError(
      'NOT_FOUND',
      `${nameOf(write.key)} does not exist, so nothing can be appended to it`,
    );
  }
  const appendName = idempotencyKey === undefined ? undefined : shortName(idempotencyKey);
  if (appendName !== undefined && content.idempotencyKeys.includes(appendName)) {
    const outcome = { status: 'unchanged' as const, revision: content.revision, ...NOTHING_NEW };
    return { content, isChanged: false, outcome };
  }
  if (write.ifRevision !== undefined && write.ifRevision !== content.revision)
    throw conflict(write.key);
  const revision = revisionOf(context.nonce, position);
  const longer: DraftContent = {
    ...content,
    ...definedFields(fields),
    logicalBytes: content.logicalBytes + write.logicalBytes,
    revision,
    updatedAt: context.now,
    idempotencyKeys:
      appendName === undefined ? content.idempotencyKeys : [...content.idempotencyKeys, appendName],
    entries: [...content.entries, ...entries.map(recordEntry)],
  };
  return {
    content: longer,
    isChanged: true,
    outcome: { status: 'appended', revision, ...NOTHING_NEW },
  };
}

function remove(content: DraftContent | undefined, write: DeleteWrite): Step {
  if (content === undefined)
    return { content, isChanged: false, outcome: { status: 'absent', ...NOTHING_NEW } };
  if (write.ifRevision !== undefined && write.ifRevision !== content.revision)
    throw conflict(write.key);
  if (content.hold !== undefined) throw heldError(write.key, content.hold);
  return { content: undefined, isChanged: true, outcome: { status: 'deleted', ...NOTHING_NEW } };
}

function hold(content: DraftContent | undefined, write: HoldWrite, { now }: FoldContext): Step {
  const { key, held, reason, ifRevision } = write;
  if (content === undefined) {
    throw new VarveError('NOT_FOUND', `${nameOf(key)} does not exist, so nothing can be held`);
  }
  if (ifRevision !== undefined && ifRevision !== content.revision) throw conflict(key);
  const { hold: before, ...free } = content;
  const step = (status: 'held' | 'released' | 'unchanged', changed: DraftContent): Step => ({
    content: changed,
    isChanged: changed !== content,
    outcome: { status, revision: content.revision, ...NOTHING_NEW },
  });
  const isSame = held
    ? before !== undefined && (reason === undefined || reason === before.reason)
    : !before;
  if (isSame) return step('unchanged', content);
  if (!held) return step('released', free);
  return step('held', {
    ...free,
    hold: { since: now, ...before, ...(reason !== undefined && { reason }) },
  });
}

/** Fields and entries are content; a `createdAt` that the writer left open is not. */
function isSame(content: DraftContent, { fields, entries }: PutWrite): boolean {
  return (
    content.application === fields.application &&
    content.model === fields.model &&
    content.expiresAt === fields.expiresAt &&
    content.logicalBytes === fields.logicalBytes &&
    (fields.createdAt ?? content.createdAt) === content.createdAt &&
    content.entries.length === entries.length &&
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
  // The caller may use its memory again while this is on its way.
  return {
    body: { kind: 'inline', bytes: new Uint8Array(body) },
    segments: segments.map(({ address }) => address),
  };
}

/** Bytes at hand are preferred to a writer's word that they are stored. */
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

/** 72 bits of an append's name: what a record remembers of it. */
function shortName(idempotencyKey: string): string {
  return (hash('sha256', idempotencyKey, 'buffer') as Buffer).subarray(0, 9).toString('base64url');
}

function nameOf({ kind, id }: ManifestKey): string {
  return `${kind} ${JSON.stringify(id)}`;
}

function conflict(key: ManifestKey): VarveError {
  return new VarveError(
    'CONFLICT',
    `${nameOf(key)} is not at the expected revision: read it again, then decide`,
  );
}
