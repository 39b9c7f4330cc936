import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import type { Sidecar } from '../../../src/backends/object/format/sidecar.ts';
import { SEGMENTS } from '../operations.ts';
import { A, Play } from '../play.ts';
import type { ProtocolBuild } from '../protocol-build.ts';
import { promise } from '../violation.ts';
import { patch, type Stage } from './stage.ts';

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
  const play = new Play(build, false);
  const { register, watch } = play.world;
  const segments = SEGMENTS.slice(0, 1);
  const writer = play.enter('writer');
  const pins = ['h1', 'h2', 'h3', 'h4', 'h5'].map((id): ManifestKey => ({ kind: 'pin', id }));
  for (const key of pins) await play.act(writer.commit([register.put(key, 'replace', [segments])]));
  const announcing = play.hold({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  const sleeping = play.begin(
    play.enter('sleeper').commit([register.put(A, 'replace', [segments])]),
  );
  await play.reached(announcing);
  // Sees the heat and sleeps: what it is about to commit is named nowhere but in its pending.
  const committing = play.hold({ by: 'sleeper', verb: 'PUT', key: MANIFEST });
  announcing.proceed();
  await play.reached(committing);
  for (const key of pins) await play.act(writer.commit([register.delete(key)]));
  for (const [at, death] of deaths.entries()) {
    play.kill(`cooler${at}`, death);
    await play.actOrDie(play.enter(`cooler${at}`).audit(true));
  }
  await play.act(play.enter('collector').collect(true));
  const [sidecar] = [...watch.sidecars.values()];
  committing.proceed();
  await play.end(sleeping);
  return sidecar;
}

export const COOLING_STAGES: readonly Stage[] = [
  {
    rule: 'drop-only-own-holds',
    promise: 'what a dead cooler holds is not collected',
    play: async (build) => {
      let wasHeldAlone = false;
      let first = 1;
      while ((await coolersThatDie(build, [first]))?.holds === undefined)
        promise(++first < 100, () => 'nobody cooled');
      for (let second = 1; second < 60 && !wasHeldAlone; second++) {
        const sidecar = await coolersThatDie(build, [first, second]);
        wasHeldAlone = sidecar?.refs.length === 0 && sidecar.holds !== undefined;
      }
      promise(wasHeldAlone, () => 'no cooler died with nothing but its hold on a segment');
    },
    mutants: [
      {
        name: 'collects what is held',
        patches: [patch('sidecar-changes.ts', ' && !holds?.length', '')],
      },
    ],
  },
];
