import { afterAll, describe, expect, it } from 'vitest';
import { runSchedule } from './schedules/schedule.ts';
import { ProtocolBuilds } from './simulator/protocol-build.ts';
import { simulatedBuild } from './simulator/simulated-build.ts';

describe('the simulation', () => {
  const builds = new ProtocolBuilds();
  afterAll(() => builds[Symbol.dispose]());

  it('repeats the schedule of a seed, request by request', async () => {
    const build = await simulatedBuild(builds);
    for (const seed of [3, 7, 14, 21, 28]) {
      const first = await runSchedule(build, seed);
      const second = await runSchedule(build, seed);
      expect(first.trace.length).toBeGreaterThan(20);
      expect(second.trace).toEqual(first.trace);
    }
  });

  it('draws different schedules from different seeds', async () => {
    const build = await simulatedBuild(builds);
    const traces = new Set<string>();
    for (let seed = 1; seed <= 10; seed++)
      traces.add((await runSchedule(build, seed)).trace.join('\n'));
    expect(traces.size).toBe(10);
  });

  it('draws every kind of fault', async () => {
    const build = await simulatedBuild(builds);
    const traces: string[] = [];
    for (let seed = 1; seed <= 80; seed++) traces.push(...(await runSchedule(build, seed)).trace);
    const all = traces.join('\n');
    const faults = ['lostAnswer', 'lostRequest', 'late', '409', 'throttled', '503', 'refused'];
    const others = ['crash', 'pause', 'aborts'];
    expect([...faults, ...others].filter((fault) => !all.includes(fault))).toEqual([]);
  }, 120_000);

  it('refuses a patch that fits nowhere, or in two places', async () => {
    const file = 'reap.ts';
    await expect(builds.load([{ file, find: 'no such text', replace: '' }])).rejects.toThrow(
      'fits in 0',
    );
    await expect(builds.load([{ file, find: 'pending', replace: '' }])).rejects.toThrow(
      'must fit in one place',
    );
  });
});
