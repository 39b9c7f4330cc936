import { A, Play } from '../play.ts';
import { BARE_503 } from '../service-answer.ts';
import { patch, type Stage } from './stage.ts';

const MANIFEST = /^manifests\//;

/** What a caller is told when answers are lost. */
export const OUTCOME_STAGES: readonly Stage[] = [
  {
    rule: 'never-guess-outcomes',
    promise: 'a write whose answer was lost has happened once, also when others have built on it',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      const other = play.enter('other');
      await play.act(other.commit([register.put(A, 'replace', [[]])]));
      const held = play.hold({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = play.begin(play.enter('writer').commit([register.append(A, [[]])]));
      await play.reached(held);
      held.happen();
      await play.act(other.commit([register.append(A, [[]])]));
      held.lose();
      await play.end(writing);
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
    promise: 'a write that may yet arrive is of unknown outcome',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      await play.act(play.enter('other').commit([register.put(A, 'replace', [[]])]));
      const held = play.hold({ by: 'writer', verb: 'PUT', key: MANIFEST });
      play.lose({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = play.begin(play.enter('writer').commit([register.append(A, [[]])]));
      await play.reached(held);
      held.lose();
      await play.end(writing);
      held.happen();
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
    promise: 'a write that a bare 503 answers may have happened',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      await play.act(play.enter('other').commit([register.put(A, 'replace', [[]])]));
      const held = play.hold({ by: 'writer', verb: 'PUT', key: MANIFEST });
      const writing = play.begin(play.enter('writer').commit([register.append(A, [[]])]));
      await play.reached(held);
      held.happen();
      held.lose(BARE_503);
      await play.end(writing);
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
    promise: 'a write whose caller leaves may have happened, or may yet arrive',
    play: async (build) => {
      for (const arrives of ['before', 'after']) {
        const play = new Play(build);
        const { register } = play.world;
        await play.act(play.enter('other').commit([register.put(A, 'replace', [[]])]));
        const leaving = new AbortController();
        const held = play.hold({ by: 'writer', verb: 'PUT', key: MANIFEST });
        const writer = play.enter('writer', () => leaving.signal);
        const writing = play.begin(writer.commit([register.append(A, [[]])]));
        await play.reached(held);
        if (arrives === 'before') held.happen();
        leaving.abort();
        await play.end(writing);
        if (arrives === 'after') held.happen();
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
