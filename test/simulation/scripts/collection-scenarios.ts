import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, B, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const HOUR_MS = 60 * 60 * 1000;

/**
 * A script in which two manifests, with two segments each, were deleted and have not been
 * collected.
 */
async function withGarbage(build: ProtocolBuild): Promise<Script> {
  const script = new Script(build, false);
  const { writes } = script.simulation;
  const writer = script.start('writer');
  await script.run(writer.commit([writes.put(A, 'replace', [SEGMENTS.slice(0, 2)])]));
  await script.run(writer.commit([writes.put(B, 'replace', [SEGMENTS.slice(2, 4)])]));
  for (const key of [A, B]) await script.run(writer.commit([writes.delete(key)]));
  check(script.simulation.checker.data.size === SEGMENTS.length, () => 'there is no garbage');
  return script;
}

function assertCollected({ simulation }: Script): void {
  check(
    simulation.checker.data.size === 0,
    () => `everyday collections left ${simulation.checker.data.size} segments`,
  );
}

export const COLLECTION_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'hint-before-change',
    name: 'an everyday collection finds what a crashed writer left',
    run: async (build) => {
      const script = new Script(build, false);
      const { writes, checker } = script.simulation;
      script.crash('writer', 4);
      await script.runOrCrash(
        script.start('writer').commit([writes.put(A, 'replace', [SEGMENTS])]),
      );
      const [record] = [...checker.records.values()];
      check(record?.pending.length === 1, () => 'the writer left nothing behind');
      await script.sleep(HOUR_MS);
      await script.run(script.start('collector').collect(false));
      const left = [...checker.records.values()].flatMap(({ pending, dropped }) => [
        ...pending,
        ...dropped,
      ]);
      check(left.length === 0, () => 'what the writer left was not found');
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
    name: 'whatever request a collection dies of, the next everyday one finishes its work',
    run: async (build) => {
      let hasSurvived = false;
      for (let death = 1; !hasSurvived; death++) {
        const script = await withGarbage(build);
        script.crash('first', death);
        const collecting = script.begin(script.start('first').collect(false));
        await script.sleep(HOUR_MS);
        hasSurvived = collecting.isDone;
        await script.run(script.start('second').collect(false));
        assertCollected(script);
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
    name: 'collectors of disjoint shards, one after the other, leave nothing',
    run: async (build) => {
      for (const count of [2, 3]) {
        const script = await withGarbage(build);
        for (let index = 0; index < count; index++) {
          await script.run(
            script.start(`shard ${index}`).collect(false, { shard: { index, count } }),
          );
        }
        assertCollected(script);
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
    name: 'whenever a collection runs out of time, the next everyday one finishes its work',
    run: async (build) => {
      let isComplete = false;
      for (let deadlineMs = 0; !isComplete; deadlineMs++) {
        const script = await withGarbage(build);
        const report = await script.run(script.start('first').collect(false, { deadlineMs }));
        isComplete = report?.isComplete ?? false;
        await script.run(script.start('second').collect(false));
        assertCollected(script);
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
