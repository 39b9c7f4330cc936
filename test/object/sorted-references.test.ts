import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { AuditReport, Finding } from '../../src/backends/contract/audit.ts';
import type { NewSegment } from '../../src/backends/contract/manifests.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { StoreDecorator } from '../../src/backends/storage/decorators/store-decorator.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import type { RequestOptions } from '../../src/backends/storage/object-store.ts';
import { slicesOf } from '../../src/core/batches.ts';
import { commit, conversation, entry, put, remove, segment } from '../conformance/builders.ts';
import { times } from '../thorough.ts';

/**
 * Segments that few or many manifests reference; then some objects are damaged, chosen by their
 * place among all objects.
 */
const STORES = fc.record({
  manifests: fc.array(fc.uniqueArray(fc.nat(11), { maxLength: 6 }), {
    minLength: 1,
    maxLength: 12,
  }),
  deleted: fc.array(fc.nat(1000), { maxLength: 4 }),
  overwritten: fc.array(fc.nat(1000), { maxLength: 4 }),
});

async function build({
  manifests,
  deleted,
  overwritten,
}: {
  manifests: number[][];
  deleted: number[];
  overwritten: number[];
}): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  const backend = new ObjectBackend(store);
  for (const [at, segments] of manifests.entries()) {
    await commit(
      backend,
      put(`c${at}`, [entry('body', ...segments.map((number) => `segment ${number}`))]),
    );
  }
  await backend.close();
  const keys = [
    ...(await store.list('segments/')).objects,
    ...(await store.list('manifests/conversation/c1')).objects,
  ].map(({ key }) => key);
  const pick = (at: number): string[] => keys.slice(at % (keys.length + 1)).slice(0, 1);
  await store.delete(deleted.flatMap(pick));
  for (const key of overwritten.flatMap(pick))
    await store.put(key, Buffer.from('damage'), { kind: 'any' });
  return store;
}

async function audit(
  store: MemoryObjectStore,
  scannedReferences?: number,
): Promise<{ findings: Finding[]; report: Omit<AuditReport, 'durationMs'> }> {
  const backend = new ObjectBackend(
    store,
    scannedReferences === undefined ? {} : { scannedReferences },
  );
  const findings: Finding[] = [];
  const steps = backend.audit();
  for (;;) {
    const step = await steps.next();
    if (step.done) {
      const { durationMs: _, ...report } = step.value;
      await backend.close();
      return { findings: findings.map(comparable).sort(byText), report };
    }
    findings.push(step.value);
  }
}

/** Sorted, because only the order of segments is promised. */
function comparable(finding: Finding): Finding {
  return { ...finding, manifests: [...finding.manifests].sort(byText) };
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

test('an audit finds the same however few references it may keep in memory', async () => {
  await fc.assert(
    fc.asyncProperty(STORES, fc.integer({ min: 1, max: 20 }), async (description, most) => {
      const store = await build(description);
      expect(await audit(store, most)).toEqual(await audit(store));
    }),
    { numRuns: 30 },
  );
});

test('a repair leaves the same however few references it may keep in memory', async () => {
  const left = async (description: Parameters<typeof build>[0], most?: number) => {
    const store = await build(description);
    const backend = new ObjectBackend(store, most === undefined ? {} : { scannedReferences: most });
    let repaired = 0;
    for await (const finding of backend.audit({ repair: true }))
      repaired += finding.repaired ? 1 : 0;
    await backend.close();
    const { findings } = await audit(store);
    // Generations are new ones, at random.
    return { repaired, findings: findings.map(({ kind, address }) => ({ kind, address })) };
  };
  await fc.assert(
    fc.asyncProperty(STORES, fc.integer({ min: 1, max: 20 }), async (description, most) => {
      expect(await left(description, most)).toEqual(await left(description));
    }),
    { numRuns: 15 },
  );
});

/** Counts how often each manifest is read. */
class ManifestReads extends StoreDecorator {
  readonly counts = new Map<string, number>();

  protected override around<Result>(
    { verb, keys }: { readonly verb: string; readonly keys: readonly string[] },
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    for (const key of verb === 'get' ? keys : []) {
      if (key.startsWith('manifests/')) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    }
    return send(options);
  }

  override async close(): Promise<void> {}
}

/** Manifests with as many references each, to segments that some of them share. */
const REFERENCES_EACH = times(40, 100);
const MANIFESTS = times(120, 10_000);

async function buildLarge(): Promise<MemoryObjectStore> {
  const objects = new MemoryObjectStore();
  const backend = new ObjectBackend(objects, { compressionLevel: 1 });
  const segments = Array.from({ length: MANIFESTS }, (_, at) => segment(`segment ${at}`));
  const writes = segments.map((_, at) =>
    put(`c${at}`, [
      entry(
        'body',
        ...Array.from(
          { length: REFERENCES_EACH },
          (__, other) => segments[(at + other) % segments.length] as NewSegment,
        ),
      ),
    ]),
  );
  for (const batch of slicesOf(writes, 500)) await backend.commit(batch);
  await backend.close();
  return objects;
}

const temporaryFolder = mkdtempSync(join(tmpdir(), 'varve-references-'));
afterAll(() => rmSync(temporaryFolder, { recursive: true }));

test('an audit of very many references reads each manifest once, and sorts on disk', async () => {
  const objects = await buildLarge();
  const { objects: sidecars } = await objects.list('segments/', { limit: 40 });
  await objects.delete(sidecars.map(({ key }) => key));
  const references = MANIFESTS * REFERENCES_EACH;
  const audits = [];
  // All in memory, and in nine runs.
  for (const scannedReferences of [references, Math.floor(references / 9) - 1]) {
    const reads = new ManifestReads(objects);
    const settings = { scannedReferences, temporaryFolder };
    const backend = new ObjectBackend(reads, { ...settings, readOnly: true });
    const findings: Finding[] = [];
    const steps = backend.audit({ sample: 0 });
    let most = 0;
    for (let step = await steps.next(); !step.done; step = await steps.next()) {
      findings.push(step.value);
      most = Math.max(most, runsIn(temporaryFolder));
    }
    audits.push(findings);
    const confirmed = findings.length * REFERENCES_EACH;
    const again = [...reads.counts.values()].reduce((sum, count) => sum + count - 1, 0);
    expect(reads.counts.size).toBe(MANIFESTS);
    // What is found is asked again.
    expect(again).toBeLessThanOrEqual(confirmed);
    if (scannedReferences === references) expect(most).toBe(0);
    else expect(most).toBeGreaterThanOrEqual(8);
    expect(readdirSync(temporaryFolder)).toEqual([]);
  }
  expect(audits[0]?.length).toBeGreaterThan(10);
  expect(audits[1]).toEqual(audits[0]);
}, 240_000);

/** Files in the folders that are there now, without the one of names. */
function runsIn(folder: string): number {
  return readdirSync(folder).flatMap((name) =>
    readdirSync(join(folder, name)).filter((file) => /-\d+$/.test(file)),
  ).length;
}

test('a full collection asks all manifests once, however many segments look like garbage', async () => {
  const objects = new MemoryObjectStore();
  const writer = new ObjectBackend(objects);
  const ids = Array.from({ length: 60 }, (_, at) => at);
  await writer.commit(ids.map((at) => put(`c${at}`, [entry('body', `kept ${at}`)])));
  await writer.commit(ids.map((at) => put(`d${at}`, [entry('body', `garbage ${at}`)])));
  await writer.commit(ids.map((at) => remove(`d${at}`)));
  await writer.close();
  const { objects: hints } = await objects.list('hints/');
  await objects.delete(hints.map(({ key }) => key));
  // Sidecars that have lost the names of their references.
  const { objects: stored } = await objects.list('segments/');
  for (const { key } of stored.filter((each) => each.key.endsWith('.meta'))) {
    const { body = '{}' } = (await objects.get(key)) ?? {};
    const sidecar = {
      ...JSON.parse(Buffer.from(body).toString()),
      refs: [],
      refCount: 0,
      since: 1,
    };
    await objects.put(key, Buffer.from(JSON.stringify(sidecar)), { kind: 'any' });
  }
  const reads = new ManifestReads(objects);
  const backend = new ObjectBackend(reads, { scannedReferences: 7, temporaryFolder });
  const plan = await backend.collect({ graceMs: 0, full: true, dryRun: true });
  expect(plan.collectedSegments).toBe(60);
  reads.counts.clear();
  expect((await backend.collect({ graceMs: 0, full: true })).collectedSegments).toBe(60);
  // One asks all, one confirms those that are named.
  expect(Math.max(...reads.counts.values())).toBeLessThanOrEqual(2 + 1);
  expect(readdirSync(temporaryFolder)).toEqual([]);
  for await (const finding of backend.audit()) expect(finding).toBeUndefined();
  const manifests = await backend.read(ids.map((at) => conversation(`c${at}`)));
  const locators = manifests.flatMap((each) => each?.entries.flatMap((e) => e.segments) ?? []);
  expect(await backend.fetch(locators)).toHaveLength(60);
  await backend.close();
});

test('a scan that fails leaves nothing on disk', async () => {
  const store = await build({ manifests: [[0, 1, 2, 3, 4, 5]], deleted: [], overwritten: [] });
  const backend = new ObjectBackend(store, { scannedReferences: 1, temporaryFolder });
  const ending = new AbortController();
  const steps = backend.audit({
    signal: ending.signal,
    onProgress: () => ending.abort(),
  });
  await expect(steps.next()).rejects.toThrow('aborted');
  expect(readdirSync(temporaryFolder)).toEqual([]);
  await backend.close();
});
