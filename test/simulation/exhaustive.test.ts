import { afterAll, describe, expect, it } from 'vitest';
import { IS_THOROUGH } from '../thorough.ts';
import { explore, type Scene } from './exploration.ts';
import { ProtocolBuilds } from './protocol-build.ts';
import { SCENES } from './scenes.ts';
import { interleavingCount } from './schedule-budget.ts';
import { HASTE, simulatedBuild } from './simulated-build.ts';

describe('in every interleaving of requests', () => {
  const builds = new ProtocolBuilds();
  const plain = simulatedBuild(builds);
  const hasty = simulatedBuild(builds, [HASTE]);
  const covered: string[] = [];
  let complete = 0;
  afterAll(() => {
    builds[Symbol.dispose]();
    console.log([...covered, `${complete} of ${SCENES.length} scenes were run through`].join('\n'));
  });

  for (const scene of SCENES) {
    it(`the promises hold: ${scene.name}`, async () => {
      const build = await (scene.isHasty ? hasty : plain);
      const isRunThrough = IS_THOROUGH && !scene.isLarge;
      const limit = isRunThrough ? Number.POSITIVE_INFINITY : interleavingCount();
      const { schedules, isComplete, violation, trace } = await explore(build, scene, limit);
      if (isComplete) complete++;
      covered.push(
        `${scene.name}: ${isComplete ? 'all' : 'the first'} ${schedules} ${kindOf(scene)}`,
      );
      if (violation !== undefined)
        expect.fail(`${violation.message}\n${trace.join('\n')}\n${violation.stack}`);
      expect(schedules).toBeGreaterThan(1);
      if (isRunThrough) expect(isComplete).toBe(true);
    }, 3_600_000);
  }
});

function kindOf({ interruptions, faults = 0 }: Scene): string {
  const limits = [
    ...(interruptions === undefined ? [] : [`${interruptions} interruptions`]),
    ...(faults === 0 ? [] : [`${faults} fault`]),
  ];
  return limits.length === 0
    ? 'interleavings'
    : `interleavings with at most ${limits.join(' and ')}`;
}
