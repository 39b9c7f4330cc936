import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import { sidecarKey } from '../../../src/backends/object/format/keys.ts';
import type { Address } from '../../../src/core/address.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { Client } from '../simulator/client.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const SEGMENT = SEGMENTS.slice(0, 1);
const SIDECAR = /\.meta$/;
const SIDECAR_OF_FIRST = new RegExp(`^${sidecarKey(SEGMENTS[0]?.address as Address)}$`);
const MANIFEST = /^manifests\//;

const pins = (name: string): readonly ManifestKey[] =>
  ['1', '2', '3', '4', '5'].map((number) => ({ kind: 'pin', id: `${name}${number}` }));

/** So many manifests that the segment they share becomes hot. */
async function heat({ simulation }: Script, client: Client, name: string): Promise<void> {
  for (const key of pins(name))
    await client.commit([simulation.writes.put(key, 'replace', [SEGMENT])]);
}

function forsake({ simulation }: Script, client: Client, name: string): Promise<void> {
  return client.commit(pins(name).map((key) => simulation.writes.delete(key)));
}

/** What sidecars, and who counts on them, owe to each other. */
export const REFERENCE_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'heat-only-what-is-live',
    name: 'a writer looks again whether a segment is hot after it has announced itself',
    run: async (build) => {
      const script = new Script(build);
      const writer = script.start('writer');
      const other = script.start('other');
      await script.run(heat(script, writer, 'h'));
      await script.run(forsake(script, other, 'h'));
      // The first audit cools, the second one takes away the names that heat had left behind.
      for (const _ of [1, 2]) await script.run(other.audit(true));
      await script.run(other.collect(true));
      await script.run(writer.commit([script.simulation.writes.put(A, 'replace', [SEGMENT])]));
      await script.run(other.read(A));
    },
    mutants: [
      {
        name: 'believes in heat that it read before it announced itself',
        patches: [patch('sidecar-table.ts', 'if (known.isFresh) {', 'if (true) {')],
      },
    ],
  },
  {
    rule: 'remove-only-own-guards',
    name: 'a cooler that was late leaves the holds of its successors alone',
    run: async (build) => {
      const script = new Script(build);
      const writer = script.start('writer');
      /**
       * Begins to cool and sleeps once it knows all references, when it asks this of the sidecar.
       */
      const cooler = async (name: string, next: 'GET' | 'PUT') => {
        const begun = script.intercept({ by: name, verb: 'PUT', key: SIDECAR });
        const task = script.begin(script.start(name).audit(true));
        await script.untilSent(begun);
        const scanned = script.intercept({ by: name, verb: next, key: SIDECAR });
        begun.proceed();
        await script.untilSent(scanned);
        return { task, scanned };
      };
      /**
       * Heats the segment and lets all of its references go but for a last step, which is left to
       * the caller.
       */
      const almostForsaken = async (name: string, between: () => Promise<void>) => {
        await script.run(heat(script, writer, name));
        await script.run(between());
        const deleter = `deleter of ${name}`;
        const held = script.intercept({ by: deleter, verb: 'GET', key: SIDECAR });
        const task = script.begin(forsake(script, script.start(deleter), name));
        await script.untilSent(held);
        return { task, held };
      };
      const first = await almostForsaken('h', async () => {});
      const late = await cooler('the late cooler', 'GET');
      first.held.proceed();
      await script.end(first.task);
      // Hot once more, and this writer is named nowhere but in its own manifest.
      const second = await almostForsaken('g', () =>
        writer.commit([script.simulation.writes.put(A, 'replace', [SEGMENT])]),
      );
      const successor = await cooler('the successor', 'PUT');
      second.held.proceed();
      await script.end(second.task);
      late.scanned.proceed();
      await script.end(late.task);
      await script.run(script.start('collector').collect(true));
      successor.scanned.proceed();
      await script.end(successor.task);
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
    name: 'what somebody is about to let go of is not forgotten when somebody else lets go of more',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(
        script.start('writer').commit([writes.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const letting = script.intercept({ by: 'first', verb: 'GET', key: SIDECAR_OF_FIRST });
      const first = script.begin(
        script.start('first').commit([writes.put(A, 'replace', [SEGMENTS.slice(1, 2)])]),
      );
      await script.untilSent(letting);
      await script.run(
        script.start('second').commit([writes.put(A, 'replace', [SEGMENTS.slice(2, 3)])]),
      );
      letting.proceed();
      await script.end(first);
      await script.run(script.start('collector').collect(false));
      check(
        script.simulation.checker.data.size === 1,
        () => 'what nothing references was not collected',
      );
    },
    mutants: [
      {
        name: 'forgets what is dropped when it drops more',
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
    name: 'a collection that finishes what was dropped waits for the heartbeats of a writer',
    run: async (build) => {
      const script = new Script(build);
      const { writes } = script.simulation;
      await script.run(
        script.start('first').commit([writes.put(A, 'replace', [SEGMENTS.slice(0, 1)])]),
      );
      const letting = script.intercept({ by: 'replacer', verb: 'GET', key: SIDECAR });
      const replacing = script.begin(
        script.start('replacer').commit([writes.put(A, 'replace', [[]])]),
      );
      await script.untilSent(letting);
      const taking = script.intercept({ by: 'writer', verb: 'PUT', key: SIDECAR });
      const writing = script.begin(
        script.start('writer').commit([writes.append(A, [SEGMENTS.slice(1, 2)])]),
      );
      await script.untilSent(taking);
      check(
        [...script.simulation.checker.records.values()].some(
          ({ pending, dropped }) => pending.length * dropped.length > 0,
        ),
        () => 'nobody is at work on what somebody else lets go of',
      );
      await script.run(script.start('collector').collect(false));
      await script.run(script.start('another').collect(true));
      taking.proceed();
      letting.proceed();
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
    name: 'a writer that finds its manifest changed by a heartbeat makes another plan',
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
            'manifest-job.ts',
            'return !this.isFenced && this.seen.record?.current === base;',
            'return !this.isFenced;',
          ),
        ],
      },
    ],
  },
];
