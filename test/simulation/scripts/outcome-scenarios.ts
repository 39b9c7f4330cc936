import { patch } from '../mutants/mutant.ts';
import { BARE_503 } from '../simulator/service-fault.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const MANIFEST = /^manifests\//;

/** What a caller learns when answers are lost. */
export const OUTCOME_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'never-guess-outcomes',
    name: 'a write whose answer was lost happens once, also if others have written since',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      const other = script.start('other');
      await script.run(other.commit([writes.put(A, 'replace', [[]])]));
      const write = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(write);
      write.apply();
      await script.run(other.commit([writes.append(A, [[]])]));
      write.fail();
      await script.end(writing);
    },
    mutants: [
      {
        name: 'reports a write whose answer was lost as failed',
        patches: [
          patch(
            'manifest-table.ts',
            'const applied = wasApplied(record, now.record);',
            'const applied = false as boolean | undefined;',
          ),
        ],
      },
    ],
  },
  {
    rule: 'never-guess-outcomes',
    name: 'a write that may still arrive has an unknown outcome',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
      const write = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      script.drop({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(write);
      write.fail();
      await script.end(writing);
      write.apply();
    },
    mutants: [
      {
        name: 'reports that nothing happened when it does not know',
        patches: [
          patch(
            'manifest-table.ts',
            'throw unknown === undefined ? cause : outcomeUnknown(key, unknown);',
            'throw cause;',
          ),
        ],
      },
    ],
  },
  {
    rule: 'never-guess-outcomes',
    name: 'a write that was answered with a bare 503 may have happened',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
      const write = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(write);
      write.apply();
      write.fail(BARE_503);
      await script.end(writing);
    },
    mutants: [
      {
        name: 'trusts a bare 503',
        patches: [patch('service-fault.ts', 'status === 429', 'status === 429 || status === 503')],
      },
    ],
  },
  {
    rule: 'never-guess-outcomes',
    name: 'a write whose caller aborts may have happened, or may still arrive',
    run: async (build) => {
      for (const arrives of ['before', 'after']) {
        const script = new Script(build);
        const { writes } = script.simulation;
        await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
        const controller = new AbortController();
        const write = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
        const writer = script.start('writer', () => controller.signal);
        const writing = script.begin(writer.commit([writes.append(A, [[]])]));
        await script.untilSent(write);
        if (arrives === 'before') write.apply();
        controller.abort();
        await script.end(writing);
        if (arrives === 'after') write.apply();
      }
    },
    mutants: [
      {
        name: 'reports that nothing happened when its caller has aborted',
        patches: [
          patch(
            'manifest-table.ts',
            "if (result.outcome === 'unknown') unknown ??= result.error;",
            '',
          ),
        ],
      },
    ],
  },
];
