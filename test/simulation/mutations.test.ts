import { afterAll, describe, expect, it } from 'vitest';
import { RULES, type RuleName } from '../../src/backends/object/rules.ts';
import { leftOut } from '../thorough.ts';
import { explore } from './exploration.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { ProtocolBuilds } from './protocol-build.ts';
import { SCENES } from './scenes.ts';
import { runSchedule } from './schedule.ts';
import { HASTE, simulatedBuild } from './simulated-build.ts';
import { STAGES } from './stages/index.ts';
import { seedsOf } from './themes.ts';
import { Violation } from './violation.ts';

/**
 * Schedules or interleavings after which a mutant has got away: several times what any of them
 * needs.
 */
const MOST = Number(process.env['VARVE_MUTANT_SCHEDULES'] ?? 200);

describe.skipIf(leftOut('mutants of the object protocol'))(
  'the simulation finds out when the protocol lacks',
  () => {
    const builds = new ProtocolBuilds();
    const searches: string[] = [];
    afterAll(() => {
      builds[Symbol.dispose]();
      console.log(searches.join('\n'));
    });

    describe.each(Object.keys(RULES) as RuleName[])('%s', (name) => {
      for (const mutation of MUTATIONS.filter(({ rule }) => rule === name)) {
        it(`it ${mutation.name}`, async () => {
          const { found, runs } = await (mutation.scene === undefined
            ? findBySchedules(mutation)
            : findByScene(mutation));
          const where = mutation.scene ?? `schedules about ${mutation.theme ?? 'everything'}`;
          searches.push(`${name}: it ${mutation.name}: run ${runs} of ${where}: ${found?.message}`);
          expect(found, `nobody noticed in ${runs} runs`).toBeInstanceOf(Error);
        }, 600_000);
      }

      for (const { promise, play, mutants } of STAGES.filter(({ rule }) => rule === name)) {
        it(promise, async () => {
          await play(await simulatedBuild(builds));
        }, 60_000);

        for (const mutant of mutants) {
          it(`it ${mutant.name}`, async () => {
            // A patch that does not fit fails the test: then there is no mutant.
            const build = await simulatedBuild(builds, mutant.patches);
            const failure = await play(build).then(
              () => undefined,
              (error: unknown) => error,
            );
            searches.push(
              `${name}: it ${mutant.name}: a stage: ${(failure as Error | undefined)?.message}`,
            );
            expect(failure, 'nobody noticed').toBeInstanceOf(Error);
            // A play that goes astray has shown nothing.
            expect((failure as Error).name, (failure as Error).stack).not.toBe('Misdirection');
          }, 60_000);
        }
      }
    });

    it('every rule that can be broken', () => {
      const broken = new Set([
        ...MUTATIONS.map(({ rule }) => rule),
        ...STAGES.filter(({ mutants }) => mutants.length > 0).map(({ rule }) => rule),
      ]);
      expect([...broken].sort()).toEqual(Object.keys(RULES).sort());
    });

    async function findBySchedules({
      patches,
      theme,
    }: Mutation): Promise<{ found: Error | undefined; runs: number }> {
      const build = await simulatedBuild(builds, patches);
      let runs = 0;
      for (const seed of seedsOf(theme, MOST)) {
        runs++;
        const { violation } = await runSchedule(build, seed);
        if (violation !== undefined) return { found: violation, runs };
      }
      return { found: undefined, runs };
    }

    async function findByScene({
      patches,
      scene: name,
    }: Mutation): Promise<{ found: Error | undefined; runs: number }> {
      const scene = SCENES.find((each) => each.name === name);
      if (scene === undefined) throw new Violation(`there is no scene ${name}`);
      const build = await simulatedBuild(builds, scene.isHasty ? [...patches, HASTE] : patches);
      const { violation, schedules } = await explore(build, scene, MOST);
      return { found: violation, runs: schedules };
    }
  },
);
