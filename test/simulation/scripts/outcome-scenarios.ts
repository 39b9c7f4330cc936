import { patch } from '../mutants/mutant.ts';
import { BARE_503 } from '../simulator/service-fault.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const MANIFEST = /^manifests\//;

/** What a caller is told when answers are lost. */
export const OUTCOME_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'never-guess-outcomes',
    name: 'a write whose answer was lost has happened once, also when others have built on it',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      const other = script.start('other');
      await script.run(other.commit([writes.put(A, 'replace', [[]])]));
      const held = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(held);
      held.apply();
      await script.run(other.commit([writes.append(A, [[]])]));
      held.fail();
      await script.end(writing);
    },
    mutants: [
      {
        name: 'takes a write whose answer was lost for one that failed',
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
    name: 'a write that may yet arrive is of unknown outcome',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
      const held = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      script.drop({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(held);
      held.fail();
      await script.end(writing);
      held.apply();
    },
    mutants: [
      {
        name: 'says that nothing happened when it does not know',
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
    name: 'a write that a bare 503 answers may have happened',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
      const held = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [[]])]));
      await script.untilSent(held);
      held.apply();
      held.fail(BARE_503);
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
    name: 'a write whose caller leaves may have happened, or may yet arrive',
    run: async (build) => {
      for (const arrives of ['before', 'after']) {
        const script = new Script(build);
        const { writes } = script.simulation;
        await script.run(script.start('other').commit([writes.put(A, 'replace', [[]])]));
        const leaving = new AbortController();
        const held = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
        const writer = script.start('writer', () => leaving.signal);
        const writing = script.begin(writer.commit([writes.append(A, [[]])]));
        await script.untilSent(held);
        if (arrives === 'before') held.apply();
        leaving.abort();
        await script.end(writing);
        if (arrives === 'after') held.apply();
      }
    },
    mutants: [
      {
        name: 'says that nothing happened when its caller has left',
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
