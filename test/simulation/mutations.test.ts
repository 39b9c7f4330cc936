import { afterAll, describe, expect, it } from 'vitest';
import { leftOut } from '../thorough.ts';
import { explore } from './exploration.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { ProtocolBuilds } from './protocol-build.ts';
import { SCENES } from './scenes.ts';
import { runSchedule } from './schedule.ts';
import { HASTE, simulatedBuild } from './simulated-build.ts';
import { STAGES } from './stages/index.ts';
import type { Rule } from './stages/stage.ts';
import { seedsOf } from './themes.ts';
import { Violation } from './violation.ts';

function titleOf(rule: Rule): string {
  return typeof rule === 'number' ? `rule ${rule}` : rule;
}

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

    for (const mutation of MUTATIONS) {
      it(`${titleOf(mutation.rule)}: it ${mutation.name}`, async () => {
        const { found, runs } = await (mutation.scene === undefined
          ? findBySchedules(mutation)
          : findByScene(mutation));
        const where = mutation.scene ?? `schedules about ${mutation.theme ?? 'everything'}`;
        searches.push(
          `${titleOf(mutation.rule)}: it ${mutation.name}: run ${runs} of ${where}: ` +
            `${found?.message}`,
        );
        expect(found, `nobody noticed in ${runs} runs`).toBeInstanceOf(Error);
      }, 600_000);
    }

    for (const { rule, promise, play, mutants } of STAGES) {
      const name = titleOf(rule);
      it(`${name}: ${promise}`, async () => {
        await play(await simulatedBuild(builds));
      }, 60_000);

      for (const mutant of mutants) {
        it(`${name}: it ${mutant.name}`, async () => {
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

    it('every rule that can be broken', () => {
      const rules = [...MUTATIONS, ...STAGES]
        .map(({ rule }) => rule)
        .filter((rule) => typeof rule === 'number');
      expect([...new Set(rules)].sort((a, b) => a - b)).toEqual([
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
      ]);
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
