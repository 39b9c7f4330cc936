import { afterAll, describe, expect, it } from 'vitest';
import { replayedSeed, scheduleCount } from '../run-limits.ts';
import { ProtocolBuilds } from '../simulator/protocol-build.ts';
import { simulatedBuild } from '../simulator/simulated-build.ts';
import { runSchedule, type ScheduleResult } from './schedule.ts';

/** Runs every `of`-th schedule from the `part`-th on, so that several test files share them. */
export function describeSchedules(part: number, of: number): void {
  describe('in schedules drawn from seeds', () => {
    const builds = new ProtocolBuilds();
    afterAll(() => builds[Symbol.dispose]());
    const replayed = replayedSeed();
    const seeds =
      replayed === undefined
        ? Array.from({ length: Math.ceil(scheduleCount() / of) }, (_, at) => at * of + part)
        : [replayed].filter((seed) => seed % of === part % of);

    it.skipIf(seeds.length === 0)(
      `what is committed can be read, and is counted (${seeds.length} schedules)`,
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
    `replay it with its trace: VARVE_SEED=${seed} npx vitest run --project library ` +
      'test/simulation/schedules',
    'the last requests:',
    ...trace.slice(-12),
    violation?.stack ?? '',
  ].join('\n');
}
