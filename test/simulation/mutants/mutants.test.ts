import { afterAll, describe, expect, it } from 'vitest';
import { RULES, type RuleName } from '../../../src/backends/object/rules.ts';
import { leftOut } from '../../thorough.ts';
import { explore } from '../interleavings/exploration.ts';
import { SCENARIOS } from '../interleavings/scenarios.ts';
import { mutantScheduleCount } from '../run-limits.ts';
import { runSchedule } from '../schedules/schedule.ts';
import { seedsOf } from '../schedules/workloads.ts';
import { SCRIPTED_SCENARIOS } from '../scripts/index.ts';
import { ProtocolBuilds } from '../simulator/protocol-build.ts';
import { MISSED_HEARTBEATS, simulatedBuild } from '../simulator/simulated-build.ts';
import { SEARCHED_MUTANTS, type SearchedMutant } from './mutants.ts';

/** How the search for a mutant ended. */
interface Search {
  /** What gave it away. */
  readonly found: Error | undefined;
  readonly schedules: number;
}

describe.skipIf(leftOut('mutants of the object protocol'))('the simulation', () => {
  const builds = new ProtocolBuilds();
  const searches: string[] = [];
  afterAll(() => {
    builds[Symbol.dispose]();
    console.log(searches.join('\n'));
  });

  describe.each(Object.keys(RULES) as RuleName[])('of the rule %s', (rule) => {
    for (const mutant of SEARCHED_MUTANTS.filter((each) => each.rule === rule)) {
      it(`finds the mutant that ${mutant.name}`, async () => {
        const { found, schedules } = await search(mutant);
        const where = mutant.scenario ?? `the workload "${mutant.workload ?? 'everything'}"`;
        searches.push(
          `${rule}: ${mutant.name}: schedule ${schedules} of ${where}: ${found?.message}`,
        );
        expect(found, `not found in ${schedules} schedules`).toBeInstanceOf(Error);
      }, 600_000);
    }

    for (const { name, run, mutants } of SCRIPTED_SCENARIOS.filter((each) => each.rule === rule)) {
      it(`shows that ${name}`, async () => {
        await run(await simulatedBuild(builds));
      }, 60_000);

      for (const mutant of mutants) {
        it(`finds the mutant that ${mutant.name}`, async () => {
          // A patch that does not fit fails the test here: it makes no mutant.
          const build = await simulatedBuild(builds, mutant.patches);
          const failure = await run(build).then(
            () => undefined,
            (error: Error) => error,
          );
          searches.push(`${rule}: ${mutant.name}: a script: ${failure?.message}`);
          expect(failure, 'not found by its script').toBeInstanceOf(Error);
          // A script that could not go on has shown nothing.
          expect(failure?.name, failure?.stack).not.toBe('ScriptError');
        }, 60_000);
      }
    }
  });

  it('finds a mutant of every rule', () => {
    const broken = new Set([
      ...SEARCHED_MUTANTS.map(({ rule }) => rule),
      ...SCRIPTED_SCENARIOS.filter(({ mutants }) => mutants.length > 0).map(({ rule }) => rule),
    ]);
    expect([...broken].sort()).toEqual(Object.keys(RULES).sort());
  });

  function search(mutant: SearchedMutant): Promise<Search> {
    return mutant.scenario === undefined ? searchSchedules(mutant) : searchInterleavings(mutant);
  }

  async function searchSchedules({ patches, workload }: SearchedMutant): Promise<Search> {
    const build = await simulatedBuild(builds, patches);
    let schedules = 0;
    for (const seed of seedsOf(workload, mutantScheduleCount())) {
      schedules++;
      const { violation } = await runSchedule(build, seed);
      if (violation !== undefined) return { found: violation, schedules };
    }
    return { found: undefined, schedules };
  }

  async function searchInterleavings({ patches, scenario: name }: SearchedMutant): Promise<Search> {
    const scenario = SCENARIOS.find((each) => each.name === name);
    expect(scenario, `there is no scenario ${name}`).toBeDefined();
    if (scenario === undefined) return { found: undefined, schedules: 0 };
    const missed = scenario.hasMissedHeartbeats ? [MISSED_HEARTBEATS] : [];
    const build = await simulatedBuild(builds, [...patches, ...missed]);
    const { violation, schedules } = await explore(build, scenario, mutantScheduleCount());
    return { found: violation, schedules };
  }
});
