import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, B, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const HOUR_MS = 60 * 60 * 1000;

/** A script that has deleted two manifests with two segments each; nothing is collected yet. */
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
      check(record?.pending.length === 1, () => 'the writer left no attempt');
      await script.sleep(HOUR_MS);
      await script.run(script.start('collector').collect(false));
      const left = [...checker.records.values()].flatMap(({ pending, dropped }) => [
        ...pending,
        ...dropped,
      ]);
      check(left.length === 0, () => 'the collection did not find what the writer left');
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
    name: 'an everyday collection finishes the work of one that crashed, at whatever request',
    run: async (build) => {
      let hasSurvived = false;
      for (let request = 1; !hasSurvived; request++) {
        const script = await withGarbage(build);
        script.crash('first', request);
        const collecting = script.begin(script.start('first').collect(false));
        await script.sleep(HOUR_MS);
        hasSurvived = collecting.isDone;
        await script.run(script.start('second').collect(false));
        assertCollected(script);
      }
    },
    mutants: [
      {
        name: 'removes hints before their work is done',
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
        name: 'writes a tombstone before it deletes the data',
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
    name: 'collections of all shards, one after the other, leave nothing',
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
    name: 'an everyday collection finishes the work of one that ran out of time',
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
