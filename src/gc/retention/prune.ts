import type { Backend } from '../../backends/contract/backend.ts';
import type {
  ManifestHead,
  ManifestHold,
  ManifestWrite,
  Revision,
  WriteOutcome,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { type AheadBounds, mapAhead } from '../../core/concurrency.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { meets } from '../../core/where.ts';
import { ConversationReader } from '../../manifest/conversations/conversation-reader.ts';
import type { RunLog } from '../run-log.ts';
import { type PruneCriteria, PruneRule } from './prune-criteria.ts';

/** Conversations deleted in one commit. */
const BATCH = 256;

/** How many conversations, of how many bytes, are judged at once. */
const AHEAD: AheadBounds<ManifestHead> = {
  count: 32,
  bytes: 16 * 1024 * 1024,
  bytesOf: ({ logicalBytes }) => logicalBytes,
};

/** What a prune does, or would do, about a conversation that its criteria select. */
export interface PruneDecision {
  readonly id: string;
  /**
   * `planned`: a run would delete it; `deleted`; `held`: a hold forbids it; `changed`: somebody
   * changed or deleted it just now, so it is left to the next run; `unreadable`: what the
   * conditions ask for is damaged, so it stays.
   */
  readonly status: 'planned' | 'deleted' | 'held' | 'changed' | 'unreadable';
  /** One for each criterion that selected it. */
  readonly why: readonly string[];
  /** The state that was judged, and that was deleted. */
  readonly revision: Revision;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Size as given. */
  readonly bytes: number;
  readonly application?: string;
  readonly model?: string;
  readonly hold?: ManifestHold;
}

/** The totals of a prune. */
export interface PruneReport {
  readonly dryRun: boolean;
  /** Conversations of the filters by application and model that were looked at. */
  readonly considered: number;
  /**
   * Deleted ones, and their size as given; in a plan, those to delete. Segments that only they
   * referenced wait for collection.
   */
  readonly deleted: number;
  readonly deletedBytes: number;
  readonly held: number;
  readonly changed: number;
  readonly unreadable: number;
  readonly durationMs: number;
}

/** Deletes conversations by age, number, application, model and metadata. */
export class Prune {
  readonly #backend: Backend;
  readonly #runs: RunLog;
  readonly #reader: ConversationReader;

  constructor(backend: Backend, runs: RunLog) {
    this.#backend = backend;
    this.#runs = runs;
    this.#reader = new ConversationReader(backend);
  }

  /**
   * Returns what a run would do now; changes nothing.
   *
   * ```ts
   * for await (const { id, why } of store.prune.plan({ olderThan: '90d', keepLast: 1000 })) {
   *   console.log(id, why.join(', '));
   * }
   * ```
   *
   * @throws at the call `INVALID_ARGUMENT` for invalid criteria, and without any.
   */
  plan(criteria: PruneCriteria): AsyncGenerator<PruneDecision, PruneReport, undefined> {
    return this.#runs.begin('prune').each(this.#prune(new PruneRule('prune.plan', criteria), true));
  }

  /**
   * Deletes what the criteria select, each conversation only in the very state that was judged, and
   * yields what became of it. A deletion is yielded after it has happened. Leaves a report in the
   * store. May be ended at any point. Criteria about several conversations (`keepLast`) are judged
   * on the list as it was at the start.
   *
   * ```ts
   * for await (const { id, status } of store.prune.run({ olderThan: '90d' })) {
   *   if (status === 'held') console.warn(`${id} is held`);
   * }
   * ```
   *
   * @throws at the call `INVALID_ARGUMENT` for invalid criteria, and without any.
   */
  run(criteria: PruneCriteria): AsyncGenerator<PruneDecision, PruneReport, undefined> {
    const rule = new PruneRule('prune.run', criteria);
    return this.#runs.recordEach(
      'prune',
      rule.options,
      () => this.#prune(rule, false),
      ({ status }) => status,
    );
  }

  async *#prune(
    rule: PruneRule,
    dryRun: boolean,
  ): AsyncGenerator<PruneDecision, PruneReport, undefined> {
    const started = performance.now();
    const { signal } = rule.options;
    const options = { signal };
    const tally = {
      considered: 0,
      deleted: 0,
      deletedBytes: 0,
      held: 0,
      changed: 0,
      unreadable: 0,
    };
    const counted = (decision: PruneDecision): PruneDecision => {
      const { status, bytes } = decision;
      if (status === 'planned' || status === 'deleted') {
        tally.deleted++;
        tally.deletedBytes += bytes;
      } else tally[status]++;
      return decision;
    };
    let batch: PruneDecision[] = [];
    const flush = async (): Promise<PruneDecision[]> => {
      const due = batch;
      batch = [];
      return (await this.#delete(due, options)).map(counted);
    };
    const kept = new Map<string, number>();
    const isSpare = (listed: ManifestHead) => (kept.get(rule.group(listed)) ?? 0) >= rule.keepLast;
    // Whether it counts as one of those to keep, or goes: only then does its content matter.
    const matters = (listed: ManifestHead) => !isSpare(listed) || rule.isOldEnough(listed);
    const listed = this.#backend.list('conversation', rule.filter, options);
    const ahead = mapAhead(listed, AHEAD, async (head) => ({
      head,
      // What matters now may not matter any more when it is its turn.
      judged: matters(head) ? await this.#judge(rule, head, options) : undefined,
    }));
    for await (const { head, judged } of ahead) {
      throwIfAborted(signal);
      tally.considered++;
      if (judged === undefined || !matters(head)) continue;
      if (!isSpare(head)) {
        const group = rule.group(head);
        kept.set(group, (kept.get(group) ?? 0) + 1);
        continue;
      }
      if (!rule.isOldEnough(judged.head)) continue;
      const decision = decisionOf(rule, judged.head, judged.status);
      if (decision.status !== 'planned' || dryRun) yield counted(decision);
      else if (batch.push(decision) === BATCH) yield* await flush();
    }
    yield* await flush();
    return { dryRun, ...tally, durationMs: performance.now() - started };
  }

  /**
   * The state that meets the conditions, and what may be done about it; `undefined` when they are
   * not met, or it is gone.
   */
  async #judge(
    rule: PruneRule,
    listed: ManifestHead,
    options: AbortOptions,
  ): Promise<{ head: ManifestHead; status: 'planned' | 'held' | 'unreadable' } | undefined> {
    const statusOf = ({ hold }: ManifestHead) => (hold === undefined ? 'planned' : 'held');
    if (rule.where.length === 0) return { head: listed, status: statusOf(listed) };
    try {
      return await this.#reader.read(
        listed.key.id,
        undefined,
        async (manifest, composition) => {
          if (!rule.isLookedAt(manifest)) return undefined;
          const conversation = await this.#reader.value(manifest, composition, options);
          const isMet = rule.where.every((condition) => meets(conversation, condition));
          return isMet ? { head: manifest, status: statusOf(manifest) } : undefined;
        },
        options,
      );
    } catch (error) {
      if (!isVarveError(error, 'CORRUPT') && !isVarveError(error, 'TOO_LARGE')) throw error;
      return { head: listed, status: 'unreadable' };
    }
  }

  async #delete(
    planned: readonly PruneDecision[],
    options: AbortOptions,
  ): Promise<PruneDecision[]> {
    if (planned.length === 0) return [];
    const writes = planned.map(
      ({ id, revision }): ManifestWrite => ({
        operation: 'delete',
        key: { kind: 'conversation', id },
        ifRevision: revision,
      }),
    );
    const outcomes = await this.#backend.commit(writes, options);
    return planned.map((decision, at) => ({
      ...decision,
      status: statusAfter(outcomes[at] as WriteOutcome),
    }));
  }
}

function decisionOf(
  rule: PruneRule,
  head: ManifestHead,
  status: PruneDecision['status'],
): PruneDecision {
  const { application, model, hold } = head;
  return {
    id: head.key.id,
    status,
    why: rule.why(head),
    revision: head.revision,
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    bytes: head.logicalBytes,
    ...(application !== undefined && { application }),
    ...(model !== undefined && { model }),
    ...(hold !== undefined && { hold }),
  };
}

function statusAfter(outcome: WriteOutcome): 'deleted' | 'held' | 'changed' {
  if (outcome.status === 'deleted') return 'deleted';
  if (outcome.status === 'absent') return 'changed';
  const error = outcome.status === 'failed' ? outcome.error : undefined;
  if (isVarveError(error, 'HELD')) return 'held';
  if (isVarveError(error, 'CONFLICT')) return 'changed';
  throw error ?? new VarveError('INTERNAL', `a delete ended as ${outcome.status}`);
}
