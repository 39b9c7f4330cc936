import { afterAll, describe, expect, it } from 'vitest';
import { ProtocolBuilds } from './protocol-build.ts';
import { runSchedule } from './schedule.ts';
import { simulatedBuild } from './simulated-build.ts';

describe('the simulation', () => {
  const builds = new ProtocolBuilds();
  afterAll(() => builds[Symbol.dispose]());

  it('runs the same seed in the same way, request by request', async () => {
    const build = await simulatedBuild(builds);
    for (const seed of [3, 7, 14, 21, 28]) {
      const first = await runSchedule(build, seed);
      const second = await runSchedule(build, seed);
      expect(first.trace.length).toBeGreaterThan(20);
      expect(second.trace).toEqual(first.trace);
    }
  });

  it('runs other seeds in other ways', async () => {
    const build = await simulatedBuild(builds);
    const traces = new Set<string>();
    for (let seed = 1; seed <= 10; seed++)
      traces.add((await runSchedule(build, seed)).trace.join('\n'));
    expect(traces.size).toBe(10);
  });

  it('has things go wrong in every way that it knows', async () => {
    const build = await simulatedBuild(builds);
    const traces: string[] = [];
    for (let seed = 1; seed <= 80; seed++) traces.push(...(await runSchedule(build, seed)).trace);
    const all = traces.join('\n');
    for (const fault of [
      'lostReply',
      'lostRequest',
      'late',
      '409',
      'throttled',
      '503',
      'crash',
      'pause',
      'refused',
      'leaves',
    ]) {
      expect(all).toContain(fault);
    }
  });

  it('refuses to patch what is not there, or is there twice', async () => {
    const file = 'reap.ts';
    await expect(builds.load([{ file, find: 'no such text', replace: '' }])).rejects.toThrow(
      'fits in 0',
    );
    await expect(builds.load([{ file, find: 'pending', replace: '' }])).rejects.toThrow(
      'must fit in one place',
    );
  });
});
