import { afterAll, describe, expect, it } from 'vitest';
import { explore } from './exploration.ts';
import { ProtocolBuilds } from './protocol-build.ts';
import { SCENES } from './scenes.ts';
import { interleavingCount } from './schedule-budget.ts';
import { HASTE, simulatedBuild } from './simulated-build.ts';

describe('in every interleaving of requests', () => {
  const builds = new ProtocolBuilds();
  const plain = simulatedBuild(builds);
  const hasty = simulatedBuild(builds, [HASTE]);
  const covered: string[] = [];
  afterAll(() => {
    builds[Symbol.dispose]();
    console.log(covered.join('\n'));
  });

  for (const scene of SCENES) {
    it(`the promises hold: ${scene.name}`, async () => {
      const build = await (scene.isHasty ? hasty : plain);
      const { schedules, isComplete, violation, trace } = await explore(build, scene, interleavingCount());
      const which =
        scene.interruptions === undefined ? 'interleavings' : `interleavings with ${scene.interruptions} interruptions`;
      covered.push(`${scene.name}: ${isComplete ? 'all' : 'the first'} ${schedules} ${which}`);
      if (violation !== undefined) expect.fail(`${violation.message}\n${trace.join('\n')}\n${violation.stack}`);
      expect(schedules).toBeGreaterThan(1);
    }, 3_600_000);
  }
});
