import { A, Play } from '../play.ts';
import { patch, type Stage } from './stage.ts';

const MANIFEST = /^manifests\//;

/** What a caller is told when answers are lost. */
export const OUTCOME_STAGES: readonly Stage[] = [
  {
    rule: 7,
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
    rule: 7,
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
            'throw mayHaveHappened ? outcomeUnknown(key, cause) : cause;\n      }\n    }',
            'throw cause;\n      }\n    }',
          ),
        ],
      },
    ],
  },
];
