import { describe, expect, it } from 'vitest';
import type { Duration } from '../../src/core/duration.ts';
import { VarveError } from '../../src/core/errors.ts';
import { version } from '../../src/core/version.ts';
import type { PruneCriteria } from '../../src/gc/retention/prune-criteria.ts';
import { Store } from '../../src/store.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { ModelStore } from '../conformance/model-store.ts';

async function drain(events: AsyncGenerator<unknown, unknown, undefined>): Promise<void> {
  while (!(await events.next()).done);
}

describe('the report of a run', () => {
  it('records what a collection did, with which options, and when', async () => {
    const store = new Store(new ModelBackend(undefined, { inlineBelow: 1 }));
    await store.conversations.put({ id: 'a', messages: [{ role: 'user', content: 'text' }] });
    await store.conversations.delete('a');
    const before = Date.now();
    const result = await store.gc.run({
      grace: 0,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    });
    expect(result.collectedSegments).toBeGreaterThan(0);
    const [report, ...older] = await store.gc.history();
    expect(older).toEqual([]);
    expect(report).toMatchObject({
      v: 1,
      operation: 'gc',
      outcome: 'done',
      options: { grace: 0 },
      result,
      version: version(),
    });
    expect(Object.keys(report?.options ?? {})).toEqual(['grace']);
    expect(report?.startedAt).toBeGreaterThanOrEqual(before);
    expect(report?.durationMs).toBeGreaterThanOrEqual(0);
  });

  it('counts what audits find and prunes do', async () => {
    const backend = new ModelBackend(undefined, { inlineBelow: 1 });
    const store = new Store(backend);
    for (const id of ['a', 'b', 'c'])
      await store.conversations.put({ id, application: 'x', messages: [{ text: id }] });
    await store.conversations.holds.place('b');
    const manifest = (await backend.read([{ kind: 'conversation', id: 'a' }]))[0];
    const [segment] = await backend.describe(manifest?.entries[0]?.segments ?? []);
    if (segment === undefined) throw new Error('nothing to damage');
    backend.damage(segment.address);
    await drain(store.audit({ sample: 1 }));
    await drain(store.prune.run({ application: 'x' }));
    const [prune, audit] = await store.gc.history();
    expect(audit).toMatchObject({
      operation: 'audit',
      counts: { 'corrupt-data': 1 },
      result: { findings: 1 },
    });
    expect(prune).toMatchObject({
      operation: 'prune',
      options: { application: 'x' },
      counts: { deleted: 2, held: 1 },
      result: { deleted: 2, held: 1 },
    });
  });

  it('of a run that failed has its error, without the place of the store', async () => {
    const backend = new ModelBackend();
    const store = new Store(backend);
    backend.collect = async () => {
      throw new VarveError('NO_SPACE', `the disk below ${backend.location} is full`);
    };
    await expect(store.gc.run()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(await store.gc.history()).toMatchObject([
      {
        outcome: 'failed',
        error: { code: 'NO_SPACE', message: 'the disk below (the store) is full' },
      },
    ]);
  });

  it('of a run that was aborted, or whose reader left, says so', async () => {
    const store = new Store(new ModelBackend());
    for (const id of ['a', 'b'])
      await store.conversations.put({ id, application: 'x', messages: [] });
    await store.conversations.holds.place(['a', 'b']);
    const aborted = AbortSignal.abort();
    await expect(store.gc.run({ signal: aborted })).rejects.toMatchObject({ code: 'ABORTED' });
    for await (const { status } of store.prune.run({ application: 'x' })) {
      expect(status).toBe('held');
      break;
    }
    const [prune, gc] = await store.gc.history();
    expect(gc).toMatchObject({ operation: 'gc', outcome: 'aborted', error: { code: 'ABORTED' } });
    expect(prune).toMatchObject({ operation: 'prune', outcome: 'aborted', counts: { held: 1 } });
    expect(prune?.error).toBeUndefined();
  });

  it('records the requests that the run took, where they are counted', async () => {
    const backend = new ModelBackend();
    let gets = 10;
    Object.assign(backend, { metrics: () => ({ requests: { get: gets, put: 1 } }) });
    const store = new Store(backend);
    const collect = backend.collect.bind(backend);
    backend.collect = (options) => {
      gets += 3;
      return collect(options);
    };
    await store.gc.run();
    expect((await store.gc.history())[0]?.requests).toEqual({ get: 3, put: 0 });
  });

  it('is not left by a call that could never run', async () => {
    const store = new Store(new ModelBackend());
    await expect(store.gc.run({ grace: 'x' as Duration })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(() => store.prune.run({} as PruneCriteria)).toThrow('without a criterion');
    expect(await store.gc.history()).toEqual([]);
  });

  it('is not left by plans, nor by what only reads', async () => {
    const kept = new ModelStore();
    const store = new Store(new ModelBackend(kept));
    await store.gc.plan();
    await drain(store.prune.plan({ application: 'x' }));
    const reader = new Store(new ModelBackend(kept, { writable: false }));
    await drain(reader.audit());
    expect(await store.gc.history()).toEqual([]);
  });

  it('that cannot be kept does not fail the run', async () => {
    const backend = new ModelBackend();
    Object.assign(backend.reports, {
      add: async () => {
        throw new VarveError('UNAVAILABLE', 'no answer');
      },
    });
    expect(await new Store(backend).gc.run()).toMatchObject({ dryRun: false });
  });

  it('that cannot be read is left out of the history, which has a limit', async () => {
    const backend = new ModelBackend();
    const store = new Store(backend);
    await store.gc.run();
    await backend.reports.add({ time: Date.now() + 1000, body: 'not JSON' });
    await backend.reports.add({ time: Date.now() + 2000, body: '[]' });
    expect(await store.gc.history()).toHaveLength(1);
    await store.gc.run();
    expect(await store.gc.history({ limit: 10 })).toHaveLength(2);
  });
});
