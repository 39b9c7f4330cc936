import type { Backend } from '../../backends/contract/backend.ts';
import type {
  ManifestFields,
  ManifestWrite,
  NewEntry,
  PutWrite,
  Revision,
  StoredManifest,
  WriteFailure,
  WriteOutcome,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { inTurns, joining, StepMeter, type Steps } from '../../core/steps.ts';
import {
  type EntryShape,
  encodingEntry,
  LINE_FEED,
  NOTHING,
  type Skeleton,
} from '../content/body.ts';
import type { ConversationRecord } from '../content/record.ts';
import type { Reference } from '../content/reference.ts';
import { pauseAfter, WRITE_ATTEMPTS } from './contention.ts';
import { type ConversationReader, conversationKey } from './conversation-reader.ts';
import { continuation, type History, historyOf, sameMeaning } from './history.ts';

/** What to do when an id holds another conversation, see {@link PutManyOptions}. */
export type IfExists = 'error' | 'skip' | 'replace' | 'append';

/** A record with its id and what surrounds it in its file. */
export interface RecordToWrite {
  readonly id: string;
  readonly record: ConversationRecord;
  /** Bytes between this record and the next one. */
  readonly terminator: Buffer;
  /** Bytes before the first record of a file. */
  readonly lead: Buffer;
}

export interface WriteOptions extends AbortOptions {
  readonly ifExists: IfExists;
  readonly ifRevision?: Revision | undefined;
}

const UNCHANGED = { newSegments: 0, newBytes: 0 } as const;

/** Writes records in batches, with one outcome per record. */
export class ConversationWriter {
  readonly #backend: Backend;
  readonly #reader: ConversationReader;

  constructor(backend: Backend, reader: ConversationReader) {
    this.#backend = backend;
    this.#reader = reader;
  }

  /** Returns outcomes in the order of the records. */
  async write(records: readonly RecordToWrite[], options: WriteOptions): Promise<WriteOutcome[]> {
    if (records.length === 0) return [];
    return options.ifExists === 'append'
      ? this.#append(records, options)
      : this.#put(records, options);
  }

  async #put(records: readonly RecordToWrite[], options: WriteOptions): Promise<WriteOutcome[]> {
    const encoded = inTurns(putsOf(records, options), options.signal);
    const writes = encoded instanceof Promise ? await encoded : encoded;
    const outcomes = await this.#backend.commit(writes, options);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status !== 'failed' || !isVarveError(outcome.error, 'ALREADY_EXISTS')) continue;
      outcomes[index] = await this.#unlessSame(records[index] as RecordToWrite, outcome, options);
    }
    return outcomes;
  }

  /**
   * The same conversation may be stored with other white space or escapes, or built message by
   * message.
   */
  async #unlessSame(
    { id, record }: RecordToWrite,
    failure: WriteFailure,
    options: AbortOptions,
  ): Promise<WriteOutcome> {
    const same = await this.#reader.read(
      id,
      undefined,
      async (manifest, composition) => {
        const pieces = await this.#reader.text(manifest, composition, options);
        const text = await inTurns(joining(pieces), options.signal);
        return sameMeaning(text, record.line) ? manifest.revision : undefined;
      },
      options,
    );
    return same === undefined ? failure : { status: 'unchanged', revision: same, ...UNCHANGED };
  }

  async #append(records: readonly RecordToWrite[], options: WriteOptions): Promise<WriteOutcome[]> {
    const outcomes = new Array<WriteOutcome>(records.length);
    let open = new Map<string, number[]>();
    for (const [index, { id }] of records.entries()) {
      const positions = open.get(id);
      if (positions === undefined) open.set(id, [index]);
      else positions.push(index);
    }
    for (let attempt = 1; open.size > 0; attempt++) {
      throwIfAborted(options.signal);
      const retry = options.ifRevision === undefined && attempt < WRITE_ATTEMPTS;
      const lost = new Map<string, number[]>();
      const writes: ManifestWrite[] = [];
      const plans: { readonly id: string; readonly plan: Plan; readonly write: number }[] = [];
      const manifests = await this.#backend.read([...open.keys()].map(conversationKey), options);
      for (const [index, [id, positions]] of [...open].entries()) {
        const own = positions.map((at) => records[at] as RecordToWrite);
        const plan = await this.#plan(own, manifests[index], options);
        // When a segment is gone, the conversation that was read is gone, too.
        if (retry && plan.steps.some((step) => isVarveError(step, 'NOT_FOUND'))) {
          lost.set(id, positions);
          continue;
        }
        plans.push({
          id,
          plan,
          write: plan.write === undefined ? -1 : writes.push(plan.write) - 1,
        });
      }
      const written = writes.length === 0 ? [] : await this.#backend.commit(writes, options);
      for (const { id, plan, write } of plans) {
        const outcome = written[write];
        const positions = open.get(id) as number[];
        if (retry && outcome?.status === 'failed' && lostRace(outcome.error)) {
          lost.set(id, positions);
          continue;
        }
        settle(plan, outcome, (step, settled) => {
          outcomes[positions[step] as number] = settled;
        });
      }
      open = lost;
      if (open.size > 0) await pauseAfter(attempt, options);
    }
    return outcomes;
  }

  /**
   * Plans one write for all records of one id: every record that continues its predecessor becomes
   * an entry.
   */
  async #plan(
    records: readonly RecordToWrite[],
    stored: StoredManifest | undefined,
    options: WriteOptions,
  ): Promise<Plan> {
    const { ifRevision } = options;
    if (ifRevision !== undefined && stored?.revision !== ifRevision) {
      const error = new VarveError(
        'CONFLICT',
        `conversation ${JSON.stringify(records[0]?.id)} is no longer at revision ${ifRevision}`,
      );
      return { steps: records.map(() => error), write: undefined, revision: undefined };
    }
    const steps: Step[] = [];
    const entries: NewEntry[] = [];
    let history: History | undefined;
    let last: RecordToWrite | undefined;
    try {
      if (stored !== undefined) history = await this.#reader.history(stored, options);
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return { steps: records.map(() => error), write: undefined, revision: undefined };
    }
    for (const next of records) {
      try {
        const entry =
          history === undefined
            ? await inTurns(recordEntry(next), options.signal)
            : await continuingEntry(history, next, options);
        steps.push(
          entry === undefined ? 'unchanged' : history === undefined ? 'created' : 'appended',
        );
        if (entry === undefined) continue;
        entries.push(entry);
        history = await historyOf(next.record, history, options);
        last = next;
      } catch (error) {
        if (!isVarveError(error)) throw error;
        steps.push(error);
      }
    }
    const revision = stored?.revision;
    if (last === undefined) return { steps, write: undefined, revision };
    const key = conversationKey(last.id);
    const { createdAt, ...fields } = last.record.fields;
    const size = logicalBytes(last);
    const write: ManifestWrite =
      stored === undefined
        ? {
            operation: 'put',
            key,
            ifExists: 'error',
            fields: {
              ...fields,
              ...(createdAt !== undefined && { createdAt }),
              logicalBytes: size,
            },
            entries,
          }
        : {
            operation: 'append',
            key,
            ifRevision: stored.revision,
            logicalBytes: Math.max(0, size - stored.logicalBytes),
            fields,
            entries,
          };
    return { steps, write, revision };
  }
}

/** The result for one record: a status once the write succeeds, or its own error. */
type Step = 'created' | 'appended' | 'unchanged' | VarveError;

interface Plan {
  readonly steps: readonly Step[];
  /** Absent when there is nothing to write. */
  readonly write: ManifestWrite | undefined;
  /** The revision before the write. */
  readonly revision: Revision | undefined;
}

function settle(
  plan: Plan,
  outcome: WriteOutcome | undefined,
  report: (step: number, outcome: WriteOutcome) => void,
): void {
  const success = outcome?.status === 'failed' ? undefined : outcome;
  const revision = success?.revision ?? plan.revision;
  const known = revision === undefined ? {} : { revision };
  // Counts what one write stored once, for the first record it belongs to.
  let stored =
    success === undefined
      ? UNCHANGED
      : { newSegments: success.newSegments, newBytes: success.newBytes };
  for (const [index, step] of plan.steps.entries()) {
    if (step instanceof VarveError) {
      report(index, { status: 'failed', error: step });
    } else if (outcome?.status === 'failed' && step !== 'unchanged') {
      report(index, outcome);
    } else if (step === 'unchanged' || success?.status === 'unchanged') {
      report(index, { status: 'unchanged', ...known, ...UNCHANGED });
    } else {
      report(index, { status: step, ...known, ...stored });
      stored = UNCHANGED;
    }
  }
}

function lostRace(error: VarveError): boolean {
  return ['CONFLICT', 'ALREADY_EXISTS', 'NOT_FOUND'].includes(error.code);
}

function* putsOf(
  records: readonly RecordToWrite[],
  { ifExists: given, ifRevision }: WriteOptions,
): Steps<PutWrite[]> {
  const ifExists = given === 'append' ? 'error' : given;
  const condition = ifRevision === undefined ? {} : { ifRevision };
  const meter = new StepMeter();
  const writes: PutWrite[] = [];
  for (const record of records) {
    const fields: ManifestFields = { ...record.record.fields, logicalBytes: logicalBytes(record) };
    const key = conversationKey(record.id);
    const entries = [yield* recordEntry(record)];
    writes.push({ operation: 'put', key, ifExists, ...condition, fields, entries });
    if (meter.add(record.record.text.length)) yield;
  }
  return writes;
}

function recordEntry({ record, terminator, lead }: RecordToWrite): Steps<NewEntry> {
  const { hasMessages, nonEmpty } = record;
  return encodingEntry(
    { kind: 'record', hasMessages, nonEmpty, terminator, lead, envelope: undefined },
    record,
  );
}

/** `undefined` when nothing is new. */
async function continuingEntry(
  history: History,
  next: RecordToWrite,
  options: AbortOptions,
): Promise<NewEntry | undefined> {
  const { signal } = options;
  const step = await continuation(history, next.record, options);
  if (step.status === 'unchanged') return undefined;
  if (step.status === 'rewrite') return inTurns(recordEntry(next), signal);
  const { skeleton, envelope } = step;
  const { terminator, record } = next;
  return inTurns(extensionEntry(skeleton, envelope, terminator, record.nonEmpty), signal);
}

/**
 * An entry that adds messages or replaces the envelope; `terminator` matters only in the second
 * case.
 */
export function extensionEntry(
  skeleton: Skeleton<Reference>,
  envelope: EntryShape['envelope'],
  terminator: Buffer,
  nonEmpty: boolean,
): Steps<NewEntry> {
  return encodingEntry(
    {
      kind: 'extend',
      hasMessages: true,
      nonEmpty,
      terminator: envelope === undefined ? LINE_FEED : terminator,
      lead: NOTHING,
      envelope,
    },
    skeleton,
  );
}

function logicalBytes({ record, terminator, lead }: RecordToWrite): number {
  return record.line.length + terminator.length + lead.length;
}
