import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, Script } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

const HOUR_MS = 60 * 60 * 1000;

/** A script with a manifest that has grown by an append for each segment. */
async function withPages(build: ProtocolBuild, isFaultless = false): Promise<Script> {
  const script = new Script(build, isFaultless, { hasPages: true });
  const { writes } = script.simulation;
  const writer = script.start('writer');
  await script.run(writer.commit([writes.put(A, 'replace', [[]])]));
  for (const segment of SEGMENTS) await script.run(writer.commit([writes.append(A, [[segment]])]));
  check(pagesIn(script).length > 1, () => 'the manifest has no pages');
  return script;
}

/** The keys of the data of all pages. */
function pagesIn({ simulation: { checker } }: Script): string[] {
  const [record] = [...checker.records.values()];
  const held = [...checker.held.values()].flat();
  return (record?.current?.pages ?? []).flatMap(({ address }) =>
    held
      .filter((reference) => reference.address === address)
      .map(({ gen }) => segmentKey(address, gen)),
  );
}

function assertCollected({ simulation: { checker } }: Script): void {
  check(checker.data.size === 0, () => `collections left ${[...checker.data.keys()].join(', ')}`);
}

/** Manifests with pages. */
export const PAGE_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'page-leaves-last',
    name: 'a deletion that dies, at whatever request, is finished beside a collection',
    run: async (build) => {
      let hasSurvived = false;
      for (let request = 1; !hasSurvived; request++) {
        const script = await withPages(build);
        const { writes } = script.simulation;
        script.crash('deleter', request);
        const deleting = script.begin(script.start('deleter').commit([writes.delete(A)]));
        await script.sleep(1000);
        hasSurvived = deleting.isDone;
        // It finds the deleter at work, and takes what has left the sidecars by now.
        await script.run(script.start('first').collect(false));
        await script.sleep(HOUR_MS);
        await script.run(script.start('second').collect(false));
        await script.run(script.start('another').commit([writes.delete(A)]));
        await script.run(script.start('third').collect(false));
        assertCollected(script);
      }
    },
    mutants: [
      {
        name: 'drops a page before what it references',
        patches: [
          patch(
            'drop-references.ts',
            'dropped: [...dropped.filter(({ page }) => page === undefined), ...inPages],',
            'dropped,',
          ),
          patch(
            'drop-references.ts',
            'readable.map(({ key, dropped }) => ({ key, dropped: dropped.filter(({ page }) => ' +
              'page !== undefined) }))',
            'readable.map(({ key, inPages }) => ({ key, dropped: inPages }))',
          ),
        ],
      },
      {
        name: 'does not drop what a page references',
        patches: [patch('drop-references.ts', 'found.filter(', '[].filter(')],
      },
    ],
  },
  {
    rule: 'page-leaves-last',
    name: 'an append that dies while it merges pages, at whatever request, loses nothing',
    run: async (build) => {
      let hasSurvived = false;
      for (let request = 1; !hasSurvived; request++) {
        const script = await withPages(build);
        const { writes } = script.simulation;
        script.crash('appender', request);
        const appending = script.begin(script.start('appender').commit([writes.append(A, [[]])]));
        await script.sleep(1000);
        hasSurvived = appending.isDone;
        await script.run(script.start('first').collect(false));
        await script.sleep(HOUR_MS);
        await script.run(script.start('second').collect(true));
        await script.run(script.start('reader').read(A));
        await script.run(script.start('another').commit([writes.append(A, [[]])]));
        await script.run(script.start('deleter').commit([writes.delete(A)]));
        await script.run(script.start('third').collect(false));
        assertCollected(script);
      }
    },
    mutants: [
      {
        name: 'drops what merged pages reference',
        patches: [
          patch('attempt.ts', 'pages.has(address) && !absorbed.has(address)', 'pages.has(address)'),
          patch(
            'drop-references.ts',
            'found.filter((each) => !kept.has(nameOfReference(each)))',
            'found.filter(() => kept.size >= 0)',
          ),
        ],
      },
    ],
  },
  {
    rule: 'read-pages',
    name: 'a repair takes no reference away while a page cannot be read',
    run: async (build) => {
      const script = await withPages(build);
      const { checker } = script.simulation;
      for (const dataKey of pagesIn(script)) script.simulation.damage(dataKey);
      const counted = () =>
        [...checker.sidecars.values()]
          .flatMap(({ refs }) => refs)
          .sort()
          .join();
      const before = counted();
      const findings = await script.run(script.start('auditor').audit(true));
      check(
        findings?.some((finding) => finding.startsWith('corrupt-manifest')) === true,
        () => 'the audit does not report that the manifest is unreadable',
      );
      await script.run(script.start('collector').collect(true));
      check(counted() === before, () => 'references of a page that cannot be read were dropped');
    },
    mutants: [
      {
        name: 'takes a page that cannot be read for one without references',
        patches: [
          patch(
            'references.ts',
            'if (now.etag === seen.etag) throw lostPage(error);',
            'if (now.etag === seen.etag) return { ...NOTHING_REFERENCED, seen };',
          ),
        ],
      },
    ],
  },
  {
    rule: 'reread-before-corruption',
    name: 'an audit that misses a page reads the manifest again',
    run: async (build) => {
      const script = await withPages(build);
      const { writes } = script.simulation;
      const last = pagesIn(script).at(-1) as string;
      const reading = script.intercept({ by: 'auditor', verb: 'GET', key: new RegExp(last) });
      const auditing = script.start('auditor').audit(false);
      const call = script.begin(auditing);
      await script.untilSent(reading);
      const appender = script.start('appender');
      for (const _ of SEGMENTS) await script.run(appender.commit([writes.append(A, [[]])]));
      await script.run(script.start('collector').collect(false));
      check(!script.simulation.checker.data.has(last), () => 'the page is still there');
      reading.proceed();
      await script.end(call);
      const findings = await auditing;
      check(findings?.length === 0, () => `the audit found ${findings?.join('; ')}`);
    },
    mutants: [
      {
        name: 'calls it damage that a page went because its manifest changed',
        patches: [patch('references.ts', 'if (now.etag === seen.etag) throw', 'if (now) throw')],
      },
    ],
  },
];
