import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import { SEGMENTS } from '../operations.ts';
import { A, Play } from '../play.ts';
import { EPOCH } from '../simulated-process.ts';
import { promise } from '../violation.ts';
import { patch, type Stage } from './stage.ts';

const PIN: ManifestKey = { kind: 'pin', id: 'p' };
const PIN_OBJECT = /^manifests\/pin\//;
const SEGMENT = SEGMENTS.slice(0, 1);
const HOUR_MS = 60 * 60 * 1000;

/** What may be deleted when, and by whom. */
export const RETENTION_STAGES: readonly Stage[] = [
  {
    rule: 'judge-what-is-replaced',
    promise: 'a pin that is renewed while a collection takes it for expired stays',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      const owner = play.enter('owner');
      await play.act(
        owner.commit([register.put(PIN, 'replace', [SEGMENT], { expiresAt: EPOCH + 10 })]),
      );
      await play.rest(1000);
      const looking = play.hold({ by: 'collector', verb: 'GET', key: PIN_OBJECT });
      const collecting = play.begin(play.enter('collector').collect(false));
      await play.reached(looking);
      looking.happen();
      await play.act(owner.commit([register.append(PIN, [[]], { expiresAt: EPOCH + HOUR_MS })]));
      looking.proceed();
      await play.end(collecting);
      await play.act(owner.read(PIN));
      await play.rest(HOUR_MS);
      const report = await play.act(play.enter('late collector').collect(false));
      promise(report?.expiredManifests === 1, () => 'what has expired is left');
    },
    mutants: [
      {
        name: 'deletes what has been renewed since it was judged',
        patches: [patch('expire.ts', ', ...(current && { ifRevision: current.revision })', '')],
      },
    ],
  },
  {
    rule: 'judge-what-is-replaced',
    promise: 'what was judged at another revision is not deleted',
    play: async (build) => {
      const play = new Play(build);
      const { register } = play.world;
      const judge = play.enter('judge');
      const writer = play.enter('writer');
      await play.act(writer.commit([register.put(A, 'replace', [SEGMENT])]));
      const listing = play.hold({ by: 'judge', verb: 'GET', key: /^manifests\// });
      const pruning = play.begin(judge.prune('conversation'));
      await play.reached(listing);
      listing.happen();
      await play.act(writer.commit([register.append(A, [SEGMENT])]));
      listing.proceed();
      await play.end(pruning);
      await play.act(writer.read(A));
      await play.act(judge.prune('conversation'));
      promise(
        play.world.history.latest('manifests/conversation/a.json').bodies === undefined,
        () => 'it was not pruned',
      );
    },
    mutants: [
      {
        name: 'deletes what has changed since it was judged',
        patches: [
          patch(
            'decide.ts',
            "checkRevision(write, stored); checkHold(write, stored); return 'deleted'",
            "checkHold(write, stored); return 'deleted'",
          ),
        ],
      },
    ],
  },
  {
    rule: 'judge-what-is-replaced',
    promise: 'what is held is neither deleted nor replaced, nor does it expire',
    play: async (build) => {
      const play = new Play(build);
      const { register, history } = play.world;
      const owner = play.enter('owner');
      const other = play.enter('other');
      await play.act(
        owner.commit([register.put(A, 'replace', [SEGMENT], { expiresAt: EPOCH + HOUR_MS })]),
      );
      await play.act(owner.commit([register.hold(A, true)]));
      await play.act(other.commit([register.delete(A)]));
      await play.act(other.commit([register.put(A, 'replace', [[]])]));
      await play.act(other.commit([register.append(A, [[]])]));
      await play.rest(2 * HOUR_MS);
      for (const isFull of [false, true]) await play.act(other.collect(isFull));
      await play.act(owner.read(A));
      promise(
        history.latest('manifests/conversation/a.json').bodies?.length === 2,
        () => 'it is not as it was held',
      );
      await play.act(owner.commit([register.hold(A, false)]));
      await play.act(play.enter('collector').collect(false));
      promise(
        history.latest('manifests/conversation/a.json').bodies === undefined,
        () => 'what has expired is left',
      );
    },
    mutants: [
      {
        name: 'deletes what is held',
        patches: [
          patch('decide.ts', "checkHold(write, stored); return 'deleted'", "return 'deleted'"),
        ],
      },
      {
        name: 'replaces what is held',
        patches: [
          patch('decide.ts', "checkHold(write, stored); return 'replaced'", "return 'replaced'"),
        ],
      },
      {
        name: 'forgets a hold when something is appended',
        patches: [
          patch(
            'fold.ts',
            'const longer: DraftContent = { ...before,',
            'const { hold: _, ...free } = before; const longer: DraftContent = { ...free,',
          ),
        ],
      },
    ],
  },
  {
    rule: 'hint-before-change',
    promise:
      'an everyday collection finds what expires, also when it was early and the writer late',
    play: async (build) => {
      const play = new Play(build);
      const { register, history } = play.world;
      const committing = play.hold({ by: 'owner', verb: 'PUT', key: PIN_OBJECT });
      const writing = play.begin(
        play.enter('owner').commit([register.put(PIN, 'replace', [[]], { expiresAt: EPOCH })]),
      );
      await play.reached(committing);
      await play.act(play.enter('early').collect(false));
      committing.proceed();
      await play.end(writing);
      await play.act(play.enter('collector').collect(false));
      promise(
        history.latest('manifests/pin/p.json').bodies === undefined,
        () => 'what has expired is left',
      );
    },
    mutants: [
      {
        name: 'removes hints of what is about to be committed',
        patches: [patch('expire.ts', 'return hint?.isOld && !isOpen', 'return hint && !isOpen')],
      },
      {
        name: 'leaves no hint of what expires',
        patches: [
          patch('commit-batch.ts', 'await this.#hints.announceExpiry(job.key, expiresAt);', ''),
        ],
      },
    ],
  },
  {
    rule: 'report-remnants',
    promise: 'whatever a deleter dies of, an erasure is told complete only when nothing is left',
    play: async (build) => {
      let hasSurvived = false;
      let wasTold = false;
      for (let death = 1; !hasSurvived; death++) {
        const play = new Play(build, false);
        const { register, watch } = play.world;
        await play.act(play.enter('writer').commit([register.put(A, 'replace', [SEGMENTS])]));
        play.kill('deleter', death);
        const deleting = play.begin(play.enter('deleter').commit([register.delete(A)]));
        await play.rest(100);
        hasSurvived = deleting.isDone;
        // The actor holds the report against what is left.
        const early = await play.act(play.enter('early').collect(true, { erase: true }));
        wasTold ||= (early?.remnants?.length ?? 0) > 0;
        await play.rest(HOUR_MS);
        const late = await play.act(play.enter('late').collect(true, { erase: true }));
        promise(
          late?.remnants?.length === 0,
          () => 'an erasure cannot get rid of what a dead deleter left',
        );
        const isDeleted = [...watch.records.values()].every(({ current }) => current === undefined);
        promise(!isDeleted || watch.data.size === 0, () => 'an erasure left what was deleted');
      }
      promise(wasTold, () => 'no deleter died in the middle');
    },
    mutants: [
      {
        name: 'says that it is complete when it has not looked',
        patches: [
          patch('collect.ts', 'run.remnants = await findRemnants(protocol, scope.signal);', '{}'),
        ],
      },
      {
        name: 'believes in what the sidecars count',
        patches: [
          patch(
            'remnants.ts',
            'if ((announced?.size ?? 0) > 0) return true;',
            'if (scan.of(address) !== undefined) return true;',
          ),
        ],
      },
    ],
  },
];
