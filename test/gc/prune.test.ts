import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../src/core/errors.ts';
import { parseWhere } from '../../src/core/where.ts';
import type { PruneDecision, PruneReport } from '../../src/gc/retention/prune.ts';
import type { PruneCriteria } from '../../src/gc/retention/prune-criteria.ts';
import { Store } from '../../src/store.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { times } from '../thorough.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 5, 1);

/** A conversation, created this many days before {@link NOW}. */
interface Given {
  readonly id: string;
  readonly days: number;
  readonly application?: string | undefined;
  readonly model?: string | undefined;
  readonly tenant?: string | undefined;
  readonly held?: boolean | undefined;
}

async function storeOf(given: readonly Given[], clock = () => NOW): Promise<Store> {
  const store = new Store(new ModelBackend(undefined, { now: clock }));
  for (const { id, days, application, model, tenant, held } of given) {
    await store.conversations.put({
      id,
      created: (NOW - days * DAY_MS) / 1000,
      ...(application && { application }),
      ...(model && { model }),
      ...(tenant && { metadata: { tenant } }),
      messages: [{ role: 'user', content: `I am ${id}` }],
    });
    if (held) await store.conversations.holds.place(id, { reason: 'case 12' });
  }
  return store;
}

async function outcomeOf(
  decisions: AsyncGenerator<PruneDecision, PruneReport, undefined>,
): Promise<{ decisions: PruneDecision[]; report: PruneReport }> {
  const all: PruneDecision[] = [];
  for (;;) {
    const step = await decisions.next();
    if (step.done) return { decisions: all, report: step.value };
    all.push(step.value);
  }
}

async function pruned(store: Store, criteria: PruneCriteria): Promise<string[]> {
  const { decisions } = await outcomeOf(store.prune.run({ now: NOW, ...criteria }));
  return idsOf(decisions, 'deleted');
}

function idsOf(decisions: readonly PruneDecision[], status: PruneDecision['status']): string[] {
  return decisions.filter((decision) => decision.status === status).map(({ id }) => id);
}

async function left(store: Store): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of store.conversations.list()) ids.push(id);
  return ids;
}

describe('prune', () => {
  it('refuses to run without any criterion, and for criteria that cannot be', async () => {
    const store = await storeOf([{ id: 'a', days: 1 }]);
    const bad: PruneCriteria[] = [
      { where: [] },
      { keepLast: 0 },
      { keepLast: 1.5 },
      { application: 'x', per: 'application' },
      // What a program that is not type-checked may pass: none of it may select more than was
      // meant.
      ...([
        {},
        { per: 'model' },
        { olderThan: '90 days' },
        { olderThan: '3m' },
        { idleFor: '3m' },
        { olderThan: '90d', keeplast: 1000 },
        { olderThan: '90d', where: null },
        { olderThan: '90d', where: { path: ['a'], equals: 1 } },
        { where: [{ path: 'a', equals: 1 }] },
        { where: [{ path: ['a'] }] },
        { olderThan: '90d', application: null },
        { olderThan: '90d', now: Number.NaN },
      ] as unknown as PruneCriteria[]),
    ];
    for (const criteria of bad) {
      for (const verb of ['plan', 'run'] as const) {
        try {
          store.prune[verb](criteria);
          expect.unreachable(JSON.stringify(criteria));
        } catch (error) {
          expect(isVarveError(error, 'INVALID_ARGUMENT'), JSON.stringify(criteria)).toBe(true);
        }
      }
    }
    expect(await left(store)).toEqual(['a']);
  });

  it('deletes what is older than an age, and says why', async () => {
    const store = await storeOf([
      { id: 'old', days: 91 },
      { id: 'edge', days: 90 },
      { id: 'new', days: 1 },
    ]);
    const { decisions, report } = await outcomeOf(store.prune.run({ olderThan: '90d', now: NOW }));
    expect(decisions).toMatchObject([
      { id: 'old', status: 'deleted', why: ['created more than 90d ago'] },
    ]);
    expect(report).toMatchObject({ dryRun: false, deleted: 1, held: 0, changed: 0, unreadable: 0 });
    expect(report.deletedBytes).toBe(decisions[0]?.bytes);
    expect(await left(store)).toEqual(['edge', 'new']);
  });

  it('spares with idleFor what was written to since, however long ago it was created', async () => {
    let now = NOW - 60 * DAY_MS;
    const store = await storeOf(
      [
        { id: 'busy', days: 900 },
        { id: 'idle', days: 900 },
      ],
      () => now,
    );
    now = NOW - DAY_MS;
    await store.conversations.append('busy', [{ role: 'user', content: 'again' }]);
    expect(await pruned(store, { olderThan: '90d', idleFor: '30d' })).toEqual(['idle']);
    expect(await left(store)).toEqual(['busy']);
  });

  it('keeps the newest few, of all or of each application', async () => {
    const given = [
      { id: 'a1', days: 1, application: 'a' },
      { id: 'a2', days: 2, application: 'a' },
      { id: 'a3', days: 3, application: 'a' },
      { id: 'b9', days: 9, application: 'b' },
      { id: 'x8', days: 8 },
      { id: 'x9', days: 9 },
    ];
    const ofAll = await storeOf(given);
    expect(await pruned(ofAll, { keepLast: 2 })).toEqual(['a3', 'x8', 'x9', 'b9']);
    const ofEach = await storeOf(given);
    expect(await pruned(ofEach, { keepLast: 1, per: 'application' })).toEqual(['a2', 'a3', 'x9']);
    const old = await storeOf(given);
    expect(await pruned(old, { keepLast: 1, per: 'application', olderThan: '2d' })).toEqual([
      'a3',
      'x9',
    ]);
    expect(await left(old)).toEqual(['a1', 'a2', 'b9', 'x8']);
  });

  it('takes the newest to keep from among those that meet the conditions', async () => {
    const store = await storeOf([
      { id: 'other', days: 1, tenant: 'globex' },
      { id: 'kept', days: 2, tenant: 'acme' },
      { id: 'gone', days: 3, tenant: 'acme' },
      { id: 'none', days: 4 },
    ]);
    expect(
      await pruned(store, { keepLast: 1, where: [parseWhere('metadata.tenant=acme')] }),
    ).toEqual(['gone']);
    expect(await left(store)).toEqual(['other', 'kept', 'none']);
  });

  it('skips what is held, and reports it', async () => {
    const store = await storeOf([
      { id: 'a', days: 100, held: true },
      { id: 'b', days: 100 },
    ]);
    const { decisions, report } = await outcomeOf(store.prune.run({ olderThan: '90d', now: NOW }));
    expect(idsOf(decisions, 'held')).toEqual(['a']);
    expect(decisions.find(({ id }) => id === 'a')?.hold?.reason).toBe('case 12');
    expect(report).toMatchObject({ deleted: 1, held: 1 });
    expect(await left(store)).toEqual(['a']);
  });

  it('leaves alone what changes, or is held, between the judgement and the deletion', async () => {
    const backend = new ModelBackend(undefined, { now: () => NOW });
    const store = new Store(backend);
    for (const id of ['changed', 'held', 'gone', 'stays']) {
      await store.conversations.put({ id, application: 'x', messages: [] });
    }
    const commit = backend.commit.bind(backend);
    backend.commit = async (writes, options) => {
      backend.commit = commit;
      await store.conversations.append('changed', [{ role: 'user', content: 'wait' }]);
      await store.conversations.holds.place('held');
      await store.conversations.delete('gone');
      return commit(writes, options);
    };
    const { decisions } = await outcomeOf(store.prune.run({ application: 'x' }));
    expect(Object.fromEntries(decisions.map(({ id, status }) => [id, status]))).toEqual({
      changed: 'changed',
      held: 'held',
      gone: 'changed',
      stays: 'deleted',
    });
    expect(await left(store)).toEqual(['changed', 'held']);
  });

  it('reads no content where heads decide, and with conditions only that of candidates', async () => {
    const backend = new ModelBackend(undefined, { now: () => NOW });
    const store = new Store(backend);
    for (const [id, days] of Object.entries({ new: 1, old: 100, older: 200 })) {
      const created = (NOW - days * DAY_MS) / 1000;
      await store.conversations.put({ id, created, metadata: { tenant: id }, messages: [] });
    }
    const reads: string[] = [];
    const read = backend.read.bind(backend);
    backend.read = (keys, options) => {
      reads.push(...keys.map(({ id }) => id));
      return read(keys, options);
    };
    await outcomeOf(store.prune.plan({ olderThan: '90d', now: NOW }));
    expect(reads).toEqual([]);
    const where = [parseWhere('metadata.tenant=older')];
    const { decisions } = await outcomeOf(store.prune.plan({ olderThan: '90d', where, now: NOW }));
    expect(reads).toEqual(['old', 'older']);
    expect(idsOf(decisions, 'planned')).toEqual(['older']);
  });

  it('leaves alone what it cannot read, when it would have to', async () => {
    const backend = new ModelBackend(undefined, { inlineBelow: 1 });
    const store = new Store(backend);
    await store.conversations.put({
      id: 'a',
      metadata: { tenant: 'acme' },
      messages: [{ content: 'text' }],
    });
    const manifest = (await backend.read([{ kind: 'conversation', id: 'a' }]))[0];
    const [locator] = manifest?.entries.flatMap(({ segments }) => segments) ?? [];
    const [segment] = await backend.describe(locator === undefined ? [] : [locator]);
    if (segment === undefined) throw new Error('nothing to damage');
    backend.damage(segment.address);
    const { decisions } = await outcomeOf(
      store.prune.run({ where: [parseWhere('metadata.tenant=acme')] }),
    );
    expect(decisions).toMatchObject([{ id: 'a', status: 'unreadable' }]);
    expect(await left(store)).toEqual(['a']);
  });

  it('does exactly what its plan says, and what the criteria mean', async () => {
    const name = fc.constantFrom('a', 'b', undefined);
    const given = fc.uniqueArray(
      fc.record({
        id: fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('x', 'y', 'z') }),
        days: fc.nat(10),
        application: name,
        model: name,
        tenant: name,
        held: fc.boolean(),
      }),
      { selector: ({ id }) => id, maxLength: 12 },
    );
    const criteria = fc
      .record({
        olderThan: fc.option(
          fc.nat(10).map((days) => days * DAY_MS),
          { nil: undefined },
        ),
        keepLast: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
        per: fc.constantFrom('application' as const, 'model' as const, undefined),
        application: name,
        model: name,
        tenant: name,
      })
      .filter(({ per: _, ...rest }) => Object.values(rest).some((value) => value !== undefined));
    await fc.assert(
      fc.asyncProperty(given, criteria, async (conversations, { tenant, per, ...rest }) => {
        const rule = {
          ...rest,
          ...(per !== undefined && rest.keepLast !== undefined && { per }),
          ...(tenant !== undefined && {
            where: [{ path: ['metadata', 'tenant'], equals: tenant }],
          }),
          now: NOW,
        } as PruneCriteria;
        const store = await storeOf(conversations);
        const before = await left(store);
        const plan = await outcomeOf(store.prune.plan(rule));
        expect(await left(store)).toEqual(before);
        const run = await outcomeOf(store.prune.run(rule));
        const planned = idsOf(plan.decisions, 'planned');
        expect(idsOf(run.decisions, 'deleted')).toEqual(planned);
        expect(idsOf(run.decisions, 'held')).toEqual(idsOf(plan.decisions, 'held'));
        expect(await left(store)).toEqual(before.filter((id) => !planned.includes(id)));
        const { durationMs: _, dryRun: __, ...counts } = plan.report;
        expect(run.report).toMatchObject(counts);
        expect(new Set(planned)).toEqual(selectedBy(rule, tenant, conversations));
        // What is gone is gone: a second run finds nothing more to delete.
        expect(await pruned(store, rule)).toEqual([]);
      }),
      { numRuns: times(40, 200) },
    );
  });
});

/** What the criteria mean, written the plain way. */
function selectedBy(
  rule: PruneCriteria,
  tenant: string | undefined,
  given: readonly Given[],
): Set<string> {
  const archived = new Map(given.map(({ id }, at) => [id, at]));
  const lookedAt = given
    .filter(
      (each) =>
        (rule.application === undefined || each.application === rule.application) &&
        (rule.model === undefined || each.model === rule.model) &&
        (tenant === undefined || each.tenant === tenant),
    )
    .sort(
      (a, b) => a.days - b.days || (archived.get(b.id) as number) - (archived.get(a.id) as number),
    );
  const { keepLast = 0, per } = rule;
  return new Set(
    lookedAt
      .filter((each, at) => {
        const peers = lookedAt
          .slice(0, at)
          .filter((peer) => per === undefined || peer[per] === each[per]);
        const isOld = rule.olderThan === undefined || each.days * DAY_MS > Number(rule.olderThan);
        return peers.length >= keepLast && isOld && !each.held;
      })
      .map(({ id }) => id),
  );
}
