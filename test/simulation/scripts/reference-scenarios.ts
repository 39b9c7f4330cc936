import { sidecarKey } from '../../../src/backends/object/format/keys.ts';
import type { Address } from '../../../src/core/address.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import { heat, SEGMENT, unpin } from './hot-segment.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const SIDECAR = /\.meta$/;
const SIDECAR_OF_FIRST = new RegExp(`^${sidecarKey(SEGMENTS[0]?.address as Address)}$`);
const MANIFEST = /^manifests\//;

/** Who may change which references, and when. */
export const REFERENCE_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'heat-only-what-is-live',
    name: 'a writer reads a sidecar again after it has announced its attempt',
    run: async (build) => {
      const script = new Script(build);
      const writer = script.start('writer');
      const other = script.start('other');
      await script.run(heat(script, writer, 'h'));
      await script.run(unpin(script, other, 'h'));
      // The first audit cools, the second one removes the names that were left.
      for (const _ of [1, 2]) await script.run(other.audit(true));
      await script.run(other.collect(true));
      await script.run(writer.commit([script.simulation.writes.put(A, 'replace', [SEGMENT])]));
      await script.run(other.read(A));
    },
    mutants: [
      {
        name: 'trusts a hot sidecar that it read before it announced its attempt',
        patches: [patch('sidecar-table.ts', 'if (known.isFresh) {', 'if (true) {')],
      },
    ],
  },
  {
    rule: 'remove-only-own-guards',
    name: 'a late cooler does not remove the guard of its successor',
    run: async (build) => {
      const script = new Script(build);
      const writer = script.start('writer');
      /** Starts a cooler, and stops it at its `next` request of the sidecar, after its scan. */
      const cooler = async (name: string, next: 'GET' | 'PUT') => {
        const begun = script.intercept({ by: name, verb: 'PUT', key: SIDECAR });
        const call = script.begin(script.start(name).audit(true));
        await script.untilSent(begun);
        const scanned = script.intercept({ by: name, verb: next, key: SIDECAR });
        begun.proceed();
        await script.untilSent(scanned);
        return { call, scanned };
      };
      /** Heats the segment, and stops a process that deletes its pins before the drop. */
      const heatAndUnpin = async (name: string, between: () => Promise<void>) => {
        await script.run(heat(script, writer, name));
        await script.run(between());
        const deleter = `deleter of ${name}`;
        const drop = script.intercept({ by: deleter, verb: 'GET', key: SIDECAR });
        const call = script.begin(unpin(script, script.start(deleter), name));
        await script.untilSent(drop);
        return { call, drop };
      };
      const first = await heatAndUnpin('h', async () => {});
      const late = await cooler('the late cooler', 'GET');
      first.drop.proceed();
      await script.end(first.call);
      // Hot again, and only its own manifest names this writer's reference.
      const second = await heatAndUnpin('g', () =>
        writer.commit([script.simulation.writes.put(A, 'replace', [SEGMENT])]),
      );
      const successor = await cooler('the successor', 'PUT');
      second.drop.proceed();
      await script.end(second.call);
      late.scanned.proceed();
      await script.end(late.call);
      await script.run(script.start('collector').collect(true));
      successor.scanned.proceed();
      await script.end(successor.call);
      await script.run(script.start('reader').read(A));
      const [sidecar] = [...script.simulation.checker.sidecars.values()];
      check(
        sidecar?.guards === undefined && sidecar?.refs.length === 1,
        () => 'the successor did not cool',
      );
    },
    mutants: [
      {
        name: 'removes the guards of other coolers',
        patches: [
          patch(
            'cool.ts',
            'if (!sidecar?.guards?.includes(name)) return',
            'if (!sidecar?.guards?.length) return',
          ),
          patch('cool.ts', 'sidecar.guards.filter((each) => each !== name)', '[] as string[]'),
        ],
      },
    ],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'a reference that one writer is about to drop stays when another writer drops more',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(
        script.start('writer').commit([writes.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const drop = script.intercept({ by: 'first', verb: 'GET', key: SIDECAR_OF_FIRST });
      const first = script.begin(
        script.start('first').commit([writes.put(A, 'replace', [SEGMENTS.slice(1, 2)])]),
      );
      await script.untilSent(drop);
      await script.run(
        script.start('second').commit([writes.put(A, 'replace', [SEGMENTS.slice(2, 3)])]),
      );
      drop.proceed();
      await script.end(first);
      await script.run(script.start('collector').collect(false));
      check(
        script.simulation.checker.data.size === 1,
        () => 'what nothing references was not collected',
      );
    },
    mutants: [
      {
        name: 'forgets what it has to drop when it drops more',
        patches: [
          patch(
            'manifest-record.ts',
            'return [...dropped, ...added.filter(',
            'return [...added.filter(',
          ),
        ],
      },
    ],
  },
  {
    rule: 'wait-for-heartbeats',
    name: 'a collection that finishes a drop waits for the heartbeats of a writer beside it',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(
        script.start('first').commit([writes.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const drop = script.intercept({ by: 'replacer', verb: 'GET', key: SIDECAR });
      const replacing = script.begin(
        script.start('replacer').commit([writes.put(A, 'replace', [[]])]),
      );
      await script.untilSent(drop);
      const taking = script.intercept({ by: 'writer', verb: 'PUT', key: SIDECAR });
      const writing = script.begin(
        script.start('writer').commit([writes.append(A, [SEGMENTS.slice(1, 2)])]),
      );
      await script.untilSent(taking);
      check(
        [...script.simulation.checker.records.values()].some(
          ({ pending, dropped }) => pending.length * dropped.length > 0,
        ),
        () => 'no manifest has both an attempt and references to drop',
      );
      await script.run(script.start('collector').collect(false));
      await script.run(script.start('another').collect(true));
      taking.proceed();
      drop.proceed();
      await script.end(writing);
      await script.end(replacing);
      await script.run(script.start('reader').read(A));
    },
    mutants: [
      {
        name: 'fences writers without waiting for their heartbeats',
        patches: [
          patch(
            'reap.ts',
            'record.pending.filter(({ heartbeatTimeoutMs }) => age > heartbeatTimeoutMs + MARGIN_MS)',
            '[...record.pending]',
          ),
        ],
      },
    ],
  },
  {
    rule: 'judge-what-is-replaced',
    name: 'a writer that finds its manifest changed by a heartbeat plans again',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      const other = script.start('other');
      await script.run(other.commit([writes.put(A, 'replace', [[]])]));
      const storing = script.intercept({ by: 'writer', verb: 'PUT', key: /^segments\/.*\/./ });
      const writing = script.begin(script.start('writer').commit([writes.append(A, [SEGMENT])]));
      await script.untilSent(storing);
      await script.run(other.commit([writes.put(A, 'replace', [[]])]));
      const renewing = script.intercept({ by: 'writer', verb: 'PUT', key: MANIFEST });
      await script.untilSent(renewing);
      renewing.proceed();
      await script.sleep(100);
      storing.proceed();
      await script.end(writing);
      await script.run(other.read(A));
    },
    mutants: [
      {
        name: 'commits a plan that was made on other content',
        patches: [
          patch(
            'attempt.ts',
            'return !this.isFenced && this.seen.record?.current === base;',
            'return !this.isFenced;',
          ),
        ],
      },
    ],
  },
];
