import { SEGMENTS } from '../operations.ts';
import { A, B, Play } from '../play.ts';
import type { ProtocolBuild } from '../protocol-build.ts';
import { promise } from '../violation.ts';
import { patch, type Stage } from './stage.ts';

const HOUR_MS = 60 * 60 * 1000;

/**
 * A play in which two manifests, with two segments each, were deleted and have not been collected.
 */
async function withGarbage(build: ProtocolBuild): Promise<Play> {
  const play = new Play(build, false);
  const { register } = play.world;
  const writer = play.enter('writer');
  await play.act(writer.commit([register.put(A, 'replace', [SEGMENTS.slice(0, 2)])]));
  await play.act(writer.commit([register.put(B, 'replace', [SEGMENTS.slice(2, 4)])]));
  for (const key of [A, B]) await play.act(writer.commit([register.delete(key)]));
  promise(play.world.watch.data.size === SEGMENTS.length, () => 'there is no garbage');
  return play;
}

function assertCollected({ world }: Play): void {
  promise(
    world.watch.data.size === 0,
    () => `everyday collections left ${world.watch.data.size} segments`,
  );
}

export const COLLECTION_STAGES: readonly Stage[] = [
  {
    rule: 'hint-before-change',
    promise: 'an everyday collection finds what a crashed writer left',
    play: async (build) => {
      const play = new Play(build, false);
      const { register, watch } = play.world;
      play.kill('writer', 4);
      await play.actOrDie(play.enter('writer').commit([register.put(A, 'replace', [SEGMENTS])]));
      const [record] = [...watch.records.values()];
      promise(record?.pending.length === 1, () => 'the writer left nothing behind');
      await play.rest(HOUR_MS);
      await play.act(play.enter('collector').collect(false));
      const left = [...watch.records.values()].flatMap(({ pending, releasing }) => [
        ...pending,
        ...releasing,
      ]);
      promise(left.length === 0, () => 'what the writer left was not found');
    },
    mutants: [
      {
        name: 'leaves no mark of a writer',
        patches: [
          patch(
            'hints.ts',
            'if (this.#mark.markedAt !== undefined && now - this.#mark.markedAt < ' +
              'WRITER_MARK_MS) return;',
            'if (now > 0) return;',
          ),
        ],
      },
    ],
  },
  {
    rule: 'hint-before-change',
    promise: 'whatever request a collection dies of, the next everyday one finishes its work',
    play: async (build) => {
      let hasSurvived = false;
      for (let death = 1; !hasSurvived; death++) {
        const play = await withGarbage(build);
        play.kill('first', death);
        const collecting = play.begin(play.enter('first').collect(false));
        await play.rest(HOUR_MS);
        hasSurvived = collecting.isDone;
        await play.act(play.enter('second').collect(false));
        assertCollected(play);
      }
    },
    mutants: [
      {
        name: 'removes hints before what they tell of is done',
        patches: [
          patch(
            'follow-hints.ts',
            'const isFinished = await mapAll(hints',
            'await deleteAll(protocol.store, hints.map(({ object }) => object.key)); ' +
              'const isFinished = await mapAll(hints',
          ),
        ],
      },
      {
        name: 'buries before it deletes',
        patches: [
          patch(
            'sweep.ts',
            'await deleteData(run, condemned);',
            'await buryAll(run, condemned); await deleteData(run, condemned);',
          ),
        ],
      },
    ],
  },
  {
    rule: 'hint-before-change',
    promise: 'collectors of disjoint shards, one after the other, leave nothing',
    play: async (build) => {
      for (const count of [2, 3]) {
        const play = await withGarbage(build);
        for (let index = 0; index < count; index++) {
          await play.act(play.enter(`shard ${index}`).collect(false, { shard: { index, count } }));
        }
        assertCollected(play);
      }
    },
    mutants: [
      {
        name: 'removes hints of what other shards have yet to collect',
        patches: [
          patch(
            'follow-hints.ts',
            "return outcome === 'due' || outcome === 'waiting' || outcome === 'unreadable';",
            'return false;',
          ),
        ],
      },
    ],
  },
  {
    rule: 'hint-before-change',
    promise: 'whenever a collection runs out of time, the next everyday one finishes its work',
    play: async (build) => {
      let isComplete = false;
      for (let deadlineMs = 0; !isComplete; deadlineMs++) {
        const play = await withGarbage(build);
        const report = await play.act(play.enter('first').collect(false, { deadlineMs }));
        isComplete = report?.isComplete ?? false;
        await play.act(play.enter('second').collect(false));
        assertCollected(play);
      }
    },
    mutants: [
      {
        name: 'removes hints of what it had no time for',
        patches: [
          patch(
            'follow-hints.ts',
            'if (scope.dryRun || scope.isCut) return;',
            'if (scope.dryRun) return;',
          ),
        ],
      },
    ],
  },
];
