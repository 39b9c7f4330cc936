import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import { sidecarKey } from '../../../src/backends/object/format/keys.ts';
import type { Address } from '../../../src/core/address.ts';
import type { Actor } from '../actor.ts';
import { SEGMENTS } from '../operations.ts';
import { A, Play } from '../play.ts';
import { promise } from '../violation.ts';
import { patch, type Stage } from './stage.ts';

const SEGMENT = SEGMENTS.slice(0, 1);
const SIDECAR = /\.meta$/;
const SIDECAR_OF_FIRST = new RegExp(`^${sidecarKey(SEGMENTS[0]?.address as Address)}$`);
const MANIFEST = /^manifests\//;

const pins = (name: string): readonly ManifestKey[] =>
  ['1', '2', '3', '4', '5'].map((number) => ({ kind: 'pin', id: `${name}${number}` }));

/** So many manifests that the segment they share becomes hot. */
async function heat({ world }: Play, actor: Actor, name: string): Promise<void> {
  for (const key of pins(name)) await actor.commit([world.register.put(key, 'replace', [SEGMENT])]);
}

function forsake({ world }: Play, actor: Actor, name: string): Promise<void> {
  return actor.commit(pins(name).map((key) => world.register.delete(key)));
}

/** What sidecars, and who counts on them, owe to each other. */
export const REFERENCE_STAGES: readonly Stage[] = [
  {
    rule: 'heat-only-what-is-live',
    promise: 'a writer looks again whether a segment is hot after it has announced itself',
    play: async (build) => {
      const play = new Play(build);
      const writer = play.enter('writer');
      const other = play.enter('other');
      await play.act(heat(play, writer, 'h'));
      await play.act(forsake(play, other, 'h'));
      // The first audit cools, the second one takes away the names that heat had left behind.
      for (const _ of [1, 2]) await play.act(other.audit(true));
      await play.act(other.collect(true));
      await play.act(writer.commit([play.world.register.put(A, 'replace', [SEGMENT])]));
      await play.act(other.read(A));
    },
    mutants: [
      {
        name: 'believes in heat that it read before it announced itself',
        patches: [patch('sidecar-table.ts', 'if (known.isFresh) {', 'if (true) {')],
      },
    ],
  },
  {
    rule: 'drop-only-own-holds',
    promise: 'a cooler that was late leaves the holds of its successors alone',
    play: async (build) => {
      const play = new Play(build);
      const writer = play.enter('writer');
      /**
       * Begins to cool and sleeps once it knows all references, when it asks this of the sidecar.
       */
      const cooler = async (name: string, next: 'GET' | 'PUT') => {
        const begun = play.hold({ by: name, verb: 'PUT', key: SIDECAR });
        const task = play.begin(play.enter(name).audit(true));
        await play.reached(begun);
        const scanned = play.hold({ by: name, verb: next, key: SIDECAR });
        begun.proceed();
        await play.reached(scanned);
        return { task, scanned };
      };
      /**
       * Heats the segment and lets all of its references go but for a last step, which is left to
       * the caller.
       */
      const almostForsaken = async (name: string, between: () => Promise<void>) => {
        await play.act(heat(play, writer, name));
        await play.act(between());
        const deleter = `deleter of ${name}`;
        const held = play.hold({ by: deleter, verb: 'GET', key: SIDECAR });
        const task = play.begin(forsake(play, play.enter(deleter), name));
        await play.reached(held);
        return { task, held };
      };
      const first = await almostForsaken('h', async () => {});
      const late = await cooler('the late cooler', 'GET');
      first.held.proceed();
      await play.end(first.task);
      // Hot once more, and this writer is named nowhere but in its own manifest.
      const second = await almostForsaken('g', () =>
        writer.commit([play.world.register.put(A, 'replace', [SEGMENT])]),
      );
      const successor = await cooler('the successor', 'PUT');
      second.held.proceed();
      await play.end(second.task);
      late.scanned.proceed();
      await play.end(late.task);
      await play.act(play.enter('collector').collect(true));
      successor.scanned.proceed();
      await play.end(successor.task);
      await play.act(play.enter('reader').read(A));
      const [sidecar] = [...play.world.watch.sidecars.values()];
      promise(
        sidecar?.holds === undefined && sidecar?.refs.length === 1,
        () => 'the successor did not cool',
      );
    },
    mutants: [
      {
        name: 'drops the holds of other coolers',
        patches: [
          patch(
            'cool.ts',
            'if (!sidecar?.holds?.includes(name)) return',
            'if (!sidecar?.holds?.length) return',
          ),
          patch('cool.ts', 'sidecar.holds.filter((each) => each !== name)', '[] as string[]'),
        ],
      },
    ],
  },
  {
    rule: 'release-what-is-dropped',
    promise:
      'what somebody is about to let go of is not forgotten when somebody else lets go of more',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      await play.act(
        play.enter('writer').commit([register.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const letting = play.hold({ by: 'first', verb: 'GET', key: SIDECAR_OF_FIRST });
      const first = play.begin(
        play.enter('first').commit([register.put(A, 'replace', [SEGMENTS.slice(1, 2)])]),
      );
      await play.reached(letting);
      await play.act(
        play.enter('second').commit([register.put(A, 'replace', [SEGMENTS.slice(2, 3)])]),
      );
      letting.proceed();
      await play.end(first);
      await play.act(play.enter('collector').collect(false));
      promise(play.world.watch.data.size === 1, () => 'what nothing references was not collected');
    },
    mutants: [
      {
        name: 'forgets what is releasing when it releases more',
        patches: [
          patch(
            'manifest-record.ts',
            'return [...releasing, ...added.filter(',
            'return [...added.filter(',
          ),
        ],
      },
    ],
  },
  {
    rule: 'wait-for-leases',
    promise:
      'a collection that finishes what was let go of waits for the lease of a writer beside it',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      await play.act(
        play.enter('first').commit([register.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const letting = play.hold({ by: 'replacer', verb: 'GET', key: SIDECAR });
      const replacing = play.begin(
        play.enter('replacer').commit([register.put(A, 'replace', [[]])]),
      );
      await play.reached(letting);
      const taking = play.hold({ by: 'writer', verb: 'PUT', key: SIDECAR });
      const writing = play.begin(
        play.enter('writer').commit([register.append(A, [SEGMENTS.slice(1, 2)])]),
      );
      await play.reached(taking);
      promise(
        [...play.world.watch.records.values()].some(
          ({ pending, releasing }) => pending.length * releasing.length > 0,
        ),
        () => 'nobody is at work on what somebody else lets go of',
      );
      await play.act(play.enter('collector').collect(false));
      await play.act(play.enter('another').collect(true));
      taking.proceed();
      letting.proceed();
      await play.end(writing);
      await play.end(replacing);
      await play.act(play.enter('reader').read(A));
    },
    mutants: [
      {
        name: 'fences writers without waiting for their leases',
        patches: [
          patch(
            'reap.ts',
            'record.pending.filter(({ leaseMs }) => age > leaseMs + MARGIN_MS)',
            '[...record.pending]',
          ),
        ],
      },
    ],
  },
  {
    rule: 'judge-what-is-replaced',
    promise:
      'a writer that finds its manifest changed while it renews its lease makes another plan',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      const other = play.enter('other');
      await play.act(other.commit([register.put(A, 'replace', [[]])]));
      const storing = play.hold({ by: 'writer', verb: 'PUT', key: /^segments\/.*\/./ });
      const writing = play.begin(play.enter('writer').commit([register.append(A, [SEGMENT])]));
      await play.reached(storing);
      await play.act(other.commit([register.put(A, 'replace', [[]])]));
      const renewing = play.hold({ by: 'writer', verb: 'PUT', key: MANIFEST });
      await play.reached(renewing);
      renewing.proceed();
      await play.rest(100);
      storing.proceed();
      await play.end(writing);
      await play.act(other.read(A));
    },
    mutants: [
      {
        name: 'commits a plan that was made on other content',
        patches: [
          patch(
            'manifest-job.ts',
            'return !this.isFenced && this.seen.record?.current === base;',
            'return !this.isFenced;',
          ),
        ],
      },
    ],
  },
];
