import type { ListFilter, ManifestHead } from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { parseDuration, type Retention } from '../../core/duration.ts';
import { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { type WhereCondition, whereText } from '../../core/where.ts';

/**
 * What {@link PruneCriteria} may have. `application`, `model` and `where` say which conversations
 * are looked at; of those, all are deleted that are older than `olderThan`, idle for `idleFor`, and
 * not among the newest `keepLast`, as far as these are given.
 */
export interface PruneOptions extends AbortOptions {
  /** Created longer ago than this, such as `90d`, `6mo` or `1y`. */
  readonly olderThan?: Retention | undefined;
  /** Last written (stored, appended to or replaced) longer ago than this. */
  readonly idleFor?: Retention | undefined;
  /**
   * Keep this many of those that are considered, the newest by creation; at least 1. Held ones
   * count.
   */
  readonly keepLast?: number | undefined;
  /**
   * Keep `keepLast` of each application or model; those without one are a group as well. Default:
   * of all.
   */
  readonly per?: 'application' | 'model' | undefined;
  readonly application?: string | undefined;
  readonly model?: string | undefined;
  /**
   * All of these must be met. Reads the content of a conversation only when all other criteria
   * select it. Default: none.
   */
  readonly where?: readonly WhereCondition[] | undefined;
  /** When ages are counted from, in ms since the epoch. Default: the time of the call. */
  readonly now?: number | undefined;
}

const PRUNE_OPTIONS = declareOptions<PruneOptions>()({
  members: (is: OptionKinds) => ({
    olderThan: is.retention,
    idleFor: is.retention,
    keepLast: is.whole(1),
    per: is.oneOf('application', 'model'),
    application: is.text,
    model: is.text,
    where: is.list(
      is.record({
        path: is.of<string[]>(isPath, 'a list of keys, of one at least'),
        equals: is.of<string | number | boolean | null>(
          isScalar,
          'a string, a number, true, false or null',
        ),
      }),
      'a list of conditions { path: [key, …], equals: value }',
    ),
    now: is.moment,
    signal: is.signal,
  }),
});

/** Options that select what to delete; without any, a prune would delete everything. */
const CRITERIA = ['olderThan', 'idleFor', 'keepLast', 'application', 'model', 'where'] as const;

type Criterion = (typeof CRITERIA)[number];

/** Which conversations to delete: {@link PruneOptions} with one criterion at least. */
export type PruneCriteria = PruneOptions &
  {
    readonly [Key in Criterion]: { readonly [_ in Key]: Exclude<PruneOptions[Key], undefined> };
  }[Criterion];

function isPath(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((key) => typeof key === 'string');
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

/** Criteria as they are applied: times instead of ages. */
export class PruneRule {
  readonly keepLast: number;
  readonly where: readonly WhereCondition[];
  /** As they were given. */
  readonly options: PruneOptions;
  readonly #createdBefore: number;
  readonly #writtenBefore: number;

  /**
   * @param call - what was called, for messages
   * @throws `INVALID_ARGUMENT` for invalid criteria, and when there are none.
   */
  constructor(call: string, criteria: PruneCriteria) {
    const options = PRUNE_OPTIONS.read(call, criteria);
    const { olderThan, idleFor, keepLast, per, where = [], now = Date.now() } = options;
    const given = CRITERIA.filter((name) => options[name] !== undefined);
    if (given.every((name) => name === 'where' && where.length === 0)) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${call}: without a criterion a prune would delete every conversation: give one of ` +
          `${CRITERIA.join(', ')}`,
      );
    }
    if (per !== undefined && keepLast === undefined) {
      throw new VarveError('INVALID_ARGUMENT', `${call}: per goes with keepLast`);
    }
    this.options = options;
    this.keepLast = keepLast ?? 0;
    this.where = where;
    this.#createdBefore =
      olderThan === undefined ? Number.POSITIVE_INFINITY : now - parseDuration(olderThan);
    this.#writtenBefore =
      idleFor === undefined ? Number.POSITIVE_INFINITY : now - parseDuration(idleFor);
  }

  /** The list to walk: newest first, so that those to keep come first. */
  get filter(): ListFilter {
    const { application, model } = this.options;
    return {
      ...(application !== undefined && { application }),
      ...(model !== undefined && { model }),
      ...(this.keepLast === 0 &&
        Number.isFinite(this.#createdBefore) && { until: this.#createdBefore }),
      order: 'newest',
    };
  }

  /** The group whose newest are kept. */
  group(head: ManifestHead): string {
    const { per } = this.options;
    const name = per === undefined ? undefined : head[per];
    return name === undefined ? '' : `=${name}`;
  }

  /** Whether it passes the filters, as far as its head shows. */
  isLookedAt(head: ManifestHead): boolean {
    const { application = head.application, model = head.model } = this.options;
    return head.application === application && head.model === model;
  }

  isOldEnough(head: ManifestHead): boolean {
    return head.createdAt < this.#createdBefore && head.updatedAt < this.#writtenBefore;
  }

  /** Why this rule selects conversations: one clause per criterion. */
  why(head: ManifestHead): string[] {
    const { olderThan, idleFor, keepLast, per, application, model } = this.options;
    const of =
      per === undefined
        ? ''
        : ` of ${per} ${head[per] === undefined ? '(none)' : JSON.stringify(head[per])}`;
    return [
      ...(olderThan === undefined ? [] : [createdText(olderThan)]),
      ...(idleFor === undefined ? [] : [idleText(idleFor)]),
      ...(keepLast === undefined ? [] : [`not among the newest ${keepLast}${of}`]),
      ...(application === undefined ? [] : [`of application ${JSON.stringify(application)}`]),
      ...(model === undefined ? [] : [`of model ${JSON.stringify(model)}`]),
      ...this.where.map((condition) => `where ${whereText(condition)}`),
    ];
  }
}

function createdText(age: Retention): string {
  return isNothing(age) ? 'created before now' : `created more than ${ageText(age)} ago`;
}

function idleText(age: Retention): string {
  return isNothing(age) ? 'last written to before now' : `not written to for ${ageText(age)}`;
}

function isNothing(age: Retention): boolean {
  return parseDuration(age) === 0;
}

function ageText(age: Retention): string {
  return typeof age === 'number' ? `${age} ms` : age;
}
