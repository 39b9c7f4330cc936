import { afterAll, describe, expect, it } from 'vitest';
import { IS_THOROUGH } from '../../thorough.ts';
import { interleavingCount } from '../run-limits.ts';
import { ProtocolBuilds } from '../simulator/protocol-build.ts';
import { MISSED_HEARTBEATS, simulatedBuild } from '../simulator/simulated-build.ts';
import { explore, type Scenario } from './exploration.ts';
import { SCENARIOS } from './scenarios.ts';

describe('in every interleaving of requests', () => {
  const builds = new ProtocolBuilds();
  const plain = simulatedBuild(builds);
  const withMissedHeartbeats = simulatedBuild(builds, [MISSED_HEARTBEATS]);
  const covered: string[] = [];
  let complete = 0;
  afterAll(() => {
    builds[Symbol.dispose]();
    console.log(
      [...covered, `${complete} of ${SCENARIOS.length} scenarios were explored completely`].join(
        '\n',
      ),
    );
  });

  for (const scenario of SCENARIOS) {
    it(`no promise is broken: ${scenario.name}`, async () => {
      const build = await (scenario.hasMissedHeartbeats ? withMissedHeartbeats : plain);
      const isExplored = IS_THOROUGH && !scenario.isLarge;
      const limit = isExplored ? Number.POSITIVE_INFINITY : interleavingCount();
      const { schedules, isComplete, violation, trace } = await explore(build, scenario, limit);
      if (isComplete) complete++;
      covered.push(
        `${scenario.name}: ${isComplete ? 'all' : 'the first'} ${schedules} ${kindOf(scenario)}`,
      );
      if (violation !== undefined)
        expect.fail(`${violation.message}\n${trace.join('\n')}\n${violation.stack}`);
      expect(schedules).toBeGreaterThan(1);
      if (isExplored) expect(isComplete).toBe(true);
    }, 3_600_000);
  }
});

function kindOf({ preemptions, faults = 0 }: Scenario): string {
  const limits = [
    ...(preemptions === undefined ? [] : [`${preemptions} preemptions`]),
    ...(faults === 0 ? [] : [`${faults} fault`]),
  ];
  return limits.length === 0
    ? 'interleavings'
    : `interleavings with at most ${limits.join(' and ')}`;
}
