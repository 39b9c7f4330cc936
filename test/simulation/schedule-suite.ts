import { afterAll, describe, expect, it } from 'vitest';
import { ProtocolBuilds } from './protocol-build.ts';
import { runSchedule, type ScheduleResult } from './schedule.ts';
import { replayedSeed, scheduleCount } from './schedule-budget.ts';
import { simulatedBuild } from './simulated-build.ts';

/**
 * Runs each `of`-th of all schedules, beginning with the `part`-th: test files run side by side.
 */
export function describeSchedules(part: number, of: number): void {
  describe('whatever happens in whatever order', () => {
    const builds = new ProtocolBuilds();
    afterAll(() => builds[Symbol.dispose]());
    const replayed = replayedSeed();
    const seeds =
      replayed === undefined
        ? Array.from({ length: Math.ceil(scheduleCount() / of) }, (_, at) => at * of + part)
        : [replayed].filter((seed) => seed % of === part % of);

    it.skipIf(seeds.length === 0)(
      `what is committed stays readable and counted (${seeds.length} schedules)`,
      async () => {
        const build = await simulatedBuild(builds);
        for (const seed of seeds) {
          const result = await runSchedule(build, seed);
          if (replayed !== undefined) console.log(result.trace.join('\n'));
          if (result.violation !== undefined) expect.fail(report(result));
        }
      },
      3_600_000,
    );
  });
}

function report({ seed, violation, trace }: ScheduleResult): string {
  return [
    `seed ${seed}: ${violation?.message}`,
    `replay it, with its trace: VARVE_SEED=${seed} npx vitest run --project library ` +
      'test/simulation/schedules',
    'the last of what happened:',
    ...trace.slice(-12),
    violation?.stack ?? '',
  ].join('\n');
}
