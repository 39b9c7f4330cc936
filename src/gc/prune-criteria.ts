import type { AbortOptions, ListFilter, ManifestHead } from '../backends/manifests.ts';
import { type Duration, parseDuration } from '../duration.ts';
import { VarveError } from '../errors.ts';
import { checkNumber, checkString } from '../manifest/option-checks.ts';
import { type WhereCondition, whereText } from '../where.ts';

/**
 * Which conversations to delete. `application`, `model` and `where` say which are looked at; of those, all are deleted that
 * are older than `olderThan`, idle for `idleFor`, and not among the newest `keepLast`, as far as these are given.
 */
export interface PruneCriteria extends AbortOptions {
  /** Created longer ago than this. */
  readonly olderThan?: Duration;
  /** Last written to (stored, appended to or replaced) longer ago than this. */
  readonly idleFor?: Duration;
  /** Keep so many of those that are looked at, the newest by creation; at least 1. Held ones count. */
  readonly keepLast?: number;
  /** Keep so many of each application or model; those without one are a group as well. Default: of all. */
  readonly per?: 'application' | 'model';
  readonly application?: string;
  readonly model?: string;
  /** All of these must be met. The content of a conversation is read only where everything else speaks for deleting it. */
  readonly where?: readonly WhereCondition[];
  /** When ages are counted from, in ms since the epoch. Default: the time of the call. */
  readonly now?: number;
}

/** Criteria as they are applied: times instead of ages. */
export class PruneRule {
  readonly keepLast: number;
  readonly where: readonly WhereCondition[];
  readonly #criteria: PruneCriteria;
  readonly #createdBefore: number;
  readonly #writtenBefore: number;

  /** @throws `INVALID_ARGUMENT` for criteria that cannot be, and when there is none at all. */
  constructor(criteria: PruneCriteria) {
    checkNames(criteria);
    const { olderThan, idleFor, keepLast = 0, per, application, model, where = [], now = Date.now() } = criteria;
    checkConditions(where);
    const given = [olderThan, idleFor, criteria.keepLast, application, model].some((each) => each !== undefined);
    if (!given && where.length === 0) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'without a criterion a prune would delete every conversation: say which, such as by age or application',
      );
    }
    if (criteria.keepLast !== undefined && !(Number.isSafeInteger(keepLast) && keepLast >= 1)) {
      throw new VarveError('INVALID_ARGUMENT', `keepLast is an integer from 1 on; not ${keepLast}`);
    }
    if (per !== undefined && (criteria.keepLast === undefined || !['application', 'model'].includes(per))) {
      throw new VarveError('INVALID_ARGUMENT', 'per is application or model, and goes with keepLast');
    }
    checkString('application', application);
    checkString('model', model);
    checkNumber('now (ms since the epoch)', now);
    this.#criteria = criteria;
    this.keepLast = keepLast;
    this.where = where;
    this.#createdBefore = olderThan === undefined ? Number.POSITIVE_INFINITY : now - parseDuration(olderThan);
    this.#writtenBefore = idleFor === undefined ? Number.POSITIVE_INFINITY : now - parseDuration(idleFor);
  }

  /** What to list: newest first, so that those to keep come before those that have one too many. */
  get filter(): ListFilter {
    const { application, model } = this.#criteria;
    return {
      ...(application !== undefined && { application }),
      ...(model !== undefined && { model }),
      ...(this.keepLast === 0 && Number.isFinite(this.#createdBefore) && { until: this.#createdBefore }),
      order: 'newest',
    };
  }

  /** The group whose newest are kept. */
  group(head: ManifestHead): string {
    const { per } = this.#criteria;
    const name = per === undefined ? undefined : head[per];
    return name === undefined ? '' : `=${name}`;
  }

  /** Whether the filters speak for it, as far as its head tells. */
  isLookedAt(head: ManifestHead): boolean {
    const { application = head.application, model = head.model } = this.#criteria;
    return head.application === application && head.model === model;
  }

  isOldEnough(head: ManifestHead): boolean {
    return head.createdAt < this.#createdBefore && head.updatedAt < this.#writtenBefore;
  }

  /** Why the conversations that this rule selects are selected: one sentence part a criterion. */
  why(head: ManifestHead): string[] {
    const { olderThan, idleFor, keepLast, per, application, model } = this.#criteria;
    const of = per === undefined ? '' : ` of ${per} ${head[per] === undefined ? '(none)' : JSON.stringify(head[per])}`;
    return [
      ...(olderThan === undefined ? [] : [`created more than ${ageText(olderThan)} ago`]),
      ...(idleFor === undefined ? [] : [`not written to for ${ageText(idleFor)}`]),
      ...(keepLast === undefined ? [] : [`not among the newest ${keepLast}${of}`]),
      ...(application === undefined ? [] : [`of application ${JSON.stringify(application)}`]),
      ...(model === undefined ? [] : [`of model ${JSON.stringify(model)}`]),
      ...this.where.map((condition) => `where ${whereText(condition)}`),
    ];
  }
}

const NAMES = ['olderThan', 'idleFor', 'keepLast', 'per', 'application', 'model', 'where', 'now', 'signal'];

/** A criterion that is misspelt would be one that spares nothing. */
function checkNames(criteria: object): void {
  const unknown = Object.keys(criteria).find((each) => !NAMES.includes(each));
  if (unknown === undefined) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `there is no criterion ${JSON.stringify(unknown)}: there are ${NAMES.join(', ')}`,
  );
}

function checkConditions(where: unknown): void {
  if (Array.isArray(where) && where.every(isCondition)) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    'where is a list of conditions { path: [key, …], equals: a string, number, boolean or null }',
  );
}

function isCondition(value: unknown): boolean {
  const { path, equals } = (value ?? {}) as { path?: unknown; equals?: unknown };
  const isPath = Array.isArray(path) && path.length > 0 && path.every((key) => typeof key === 'string');
  return isPath && (equals === null || ['string', 'number', 'boolean'].includes(typeof equals));
}

function ageText(duration: Duration): string {
  return typeof duration === 'number' ? `${duration} ms` : duration;
}
