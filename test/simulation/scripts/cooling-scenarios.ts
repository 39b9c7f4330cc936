import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import type { Sidecar } from '../../../src/backends/object/format/sidecar.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const MANIFEST = /^manifests\//;

/**
 * A segment that was hot, a writer of which it knows nothing, and coolers that die one after the
 * other, each of its request of that number. Returns the sidecar as a collector leaves it; then the
 * writer commits.
 */
async function coolersThatDie(
  build: ProtocolBuild,
  deaths: readonly number[],
): Promise<Sidecar | undefined> {
  const script = new Script(build, false);
  const { writes, checker } = script.simulation;
  const segments = SEGMENTS.slice(0, 1);
  const writer = script.start('writer');
  const pins = ['h1', 'h2', 'h3', 'h4', 'h5'].map((id): ManifestKey => ({ kind: 'pin', id }));
  for (const key of pins) await script.run(writer.commit([writes.put(key, 'replace', [segments])]));
  const announcing = script.intercept({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  const sleeping = script.begin(
    script.start('sleeper').commit([writes.put(A, 'replace', [segments])]),
  );
  await script.untilSent(announcing);
  // Sees the heat and sleeps: what it is about to commit is named nowhere but in its pending.
  const committing = script.intercept({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  announcing.proceed();
  await script.untilSent(committing);
  for (const key of pins) await script.run(writer.commit([writes.delete(key)]));
  for (const [at, death] of deaths.entries()) {
    script.crash(`cooler${at}`, death);
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
    name: 'what a dead cooler guards is not collected',
    run: async (build) => {
      let wasGuardedAlone = false;
      let first = 1;
      while ((await coolersThatDie(build, [first]))?.guards === undefined)
        check(++first < 100, () => 'nobody cooled');
      for (let second = 1; second < 60 && !wasGuardedAlone; second++) {
        const sidecar = await coolersThatDie(build, [first, second]);
        wasGuardedAlone = sidecar?.refs.length === 0 && sidecar.guards !== undefined;
      }
      check(wasGuardedAlone, () => 'no cooler died with nothing but its guard on a segment');
    },
    mutants: [
      {
        name: 'collects what is guarded',
        patches: [patch('sidecar-changes.ts', ' && !guards?.length', '')],
      },
    ],
  },
];
