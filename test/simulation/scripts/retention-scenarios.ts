import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import { EPOCH } from '../simulator/simulated-process.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const PIN: ManifestKey = { kind: 'pin', id: 'p' };
const PIN_OBJECT = /^manifests\/pin\//;
const SEGMENT = SEGMENTS.slice(0, 1);
const HOUR_MS = 60 * 60 * 1000;

/** Who may delete what, and when. */
export const RETENTION_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'judge-what-is-replaced',
    name: 'a pin stays that is renewed while a collection reads it as expired',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      const owner = script.start('owner');
      await script.run(
        owner.commit([writes.put(PIN, 'replace', [SEGMENT], { expiresAt: EPOCH + 10 })]),
      );
      await script.sleep(1000);
      const looking = script.intercept({ by: 'collector', verb: 'GET', key: PIN_OBJECT });
      const collecting = script.begin(script.start('collector').collect(false));
      await script.untilSent(looking);
      looking.apply();
      await script.run(owner.commit([writes.append(PIN, [[]], { expiresAt: EPOCH + HOUR_MS })]));
      looking.proceed();
      await script.end(collecting);
      await script.run(owner.read(PIN));
      await script.sleep(HOUR_MS);
      const report = await script.run(script.start('late collector').collect(false));
      check(report?.expiredManifests === 1, () => 'an expired manifest is left');
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
    name: 'a manifest that has changed since it was judged is not deleted',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      const judge = script.start('judge');
      const writer = script.start('writer');
      await script.run(writer.commit([writes.put(A, 'replace', [SEGMENT])]));
      const listing = script.intercept({ by: 'judge', verb: 'GET', key: /^manifests\// });
      const pruning = script.begin(judge.prune('conversation'));
      await script.untilSent(listing);
      listing.apply();
      await script.run(writer.commit([writes.append(A, [SEGMENT])]));
      listing.proceed();
      await script.end(pruning);
      await script.run(writer.read(A));
      await script.run(judge.prune('conversation'));
      check(
        script.simulation.history.latest('manifests/conversation/a.json').bodies === undefined,
        () => 'the manifest was not pruned',
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
    name: 'a held manifest is neither deleted nor replaced, and does not expire',
    run: async (build) => {
      const script = new Script(build);
      const { writes, history } = script.simulation;
      const owner = script.start('owner');
      const other = script.start('other');
      await script.run(
        owner.commit([writes.put(A, 'replace', [SEGMENT], { expiresAt: EPOCH + HOUR_MS })]),
      );
      await script.run(owner.commit([writes.hold(A, true)]));
      await script.run(other.commit([writes.delete(A)]));
      await script.run(other.commit([writes.put(A, 'replace', [[]])]));
      await script.run(other.commit([writes.append(A, [[]])]));
      await script.sleep(2 * HOUR_MS);
      for (const isFull of [false, true]) await script.run(other.collect(isFull));
      await script.run(owner.read(A));
      check(
        history.latest('manifests/conversation/a.json').bodies?.length === 2,
        () => 'the held manifest has changed',
      );
      await script.run(owner.commit([writes.hold(A, false)]));
      await script.run(script.start('collector').collect(false));
      check(
        history.latest('manifests/conversation/a.json').bodies === undefined,
        () => 'an expired manifest is left',
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
    name: 'an everyday collection finds what expires, also if it read the hint before the commit',
    run: async (build) => {
      const script = new Script(build);
      const { writes, history } = script.simulation;
      const committing = script.intercept({ by: 'owner', verb: 'PUT', key: PIN_OBJECT });
      const writing = script.begin(
        script.start('owner').commit([writes.put(PIN, 'replace', [[]], { expiresAt: EPOCH })]),
      );
      await script.untilSent(committing);
      await script.run(script.start('early').collect(false));
      committing.proceed();
      await script.end(writing);
      await script.run(script.start('collector').collect(false));
      check(
        history.latest('manifests/pin/p.json').bodies === undefined,
        () => 'an expired manifest is left',
      );
    },
    mutants: [
      {
        name: 'removes hints of manifests that are about to be committed',
        patches: [patch('expire.ts', 'return hint?.isOld && !isOpen', 'return hint && !isOpen')],
      },
      {
        name: 'writes no hint of what expires',
        patches: [
          patch('object-commit.ts', 'await hints.announceExpiry(attempt.key, expiresAt);', ''),
        ],
      },
    ],
  },
  {
    rule: 'report-remnants',
    name: 'an erasure is complete only when nothing is left, at whatever request a deleter crashed',
    run: async (build) => {
      let hasSurvived = false;
      let hadRemnants = false;
      for (let request = 1; !hasSurvived; request++) {
        const script = new Script(build, false);
        const { writes, checker } = script.simulation;
        await script.run(script.start('writer').commit([writes.put(A, 'replace', [SEGMENTS])]));
        script.crash('deleter', request);
        const deleting = script.begin(script.start('deleter').commit([writes.delete(A)]));
        await script.sleep(100);
        hasSurvived = deleting.isDone;
        // The client checks the report against what is left.
        const early = await script.run(script.start('early').collect(true, { erase: true }));
        hadRemnants ||= (early?.remnants?.length ?? 0) > 0;
        await script.sleep(HOUR_MS);
        const late = await script.run(script.start('late').collect(true, { erase: true }));
        check(late?.remnants?.length === 0, () => 'an erasure left what a dead deleter left');
        const isDeleted = [...checker.records.values()].every(
          ({ current }) => current === undefined,
        );
        check(!isDeleted || checker.data.size === 0, () => 'an erasure left what was deleted');
      }
      check(hadRemnants, () => 'no deleter crashed in between');
    },
    mutants: [
      {
        name: 'reports that it is complete without a scan',
        patches: [
          patch('collect.ts', 'run.remnants = await findRemnants(protocol, scope.signal);', '{}'),
        ],
      },
      {
        name: 'trusts what the sidecars count',
        patches: [
          patch(
            'remnants.ts',
            'if (announced.size > 0) return true;',
            'if (committed.size + announced.size + references.dropped.size > 0) return true;',
          ),
        ],
      },
    ],
  },
];
