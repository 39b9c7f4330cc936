import type { Sidecar } from '../../../src/backends/object/format/sidecar.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { heat, SEGMENT, unpin } from './hot-segment.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const MANIFEST = /^manifests\//;

/**
 * A hot segment, a writer whose reference it does not name, and coolers that crash one after the
 * other, each at its request of that number. Returns the sidecar as a collection leaves it; then
 * the writer commits.
 */
async function coolersThatCrash(
  build: ProtocolBuild,
  crashes: readonly number[],
): Promise<Sidecar | undefined> {
  const script = new Script(build, false);
  const { writes, checker } = script.simulation;
  const writer = script.start('writer');
  await script.run(heat(script, writer, 'h'));
  const announcing = script.intercept({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  const sleeping = script.begin(
    script.start('sleeper').commit([writes.put(A, 'replace', [SEGMENT])]),
  );
  await script.untilSent(announcing);
  // It reads that the segment is hot, and stops: only its `pending` names what it will commit.
  const committing = script.intercept({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  announcing.proceed();
  await script.untilSent(committing);
  await script.run(unpin(script, writer, 'h'));
  for (const [at, request] of crashes.entries()) {
    script.crash(`cooler${at}`, request);
    await script.runOrCrash(script.start(`cooler${at}`).audit(true));
  }
  await script.run(script.start('collector').collect(true));
  const [sidecar] = [...checker.sidecars.values()];
  committing.proceed();
  await script.end(sleeping);
  return sidecar;
}

export const COOLING_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'remove-only-own-guards',
    name: 'a segment that a dead cooler guards is not collected',
    run: async (build) => {
      let wasGuardedAlone = false;
      let first = 1;
      while ((await coolersThatCrash(build, [first]))?.guards === undefined)
        check(++first < 100, () => 'no cooler guarded a segment');
      for (let second = 1; second < 60 && !wasGuardedAlone; second++) {
        const sidecar = await coolersThatCrash(build, [first, second]);
        wasGuardedAlone = sidecar?.refs.length === 0 && sidecar.guards !== undefined;
      }
      check(wasGuardedAlone, () => 'no cooler crashed with nothing but its guard on a segment');
    },
    mutants: [
      {
        name: 'collects what is guarded',
        patches: [patch('sidecar-changes.ts', ' && !guards?.length', '')],
      },
    ],
  },
];
