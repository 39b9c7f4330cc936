import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AuditReport, Finding } from '../../src/backends/contract/audit.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { commit, entry, put } from '../conformance/builders.ts';

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

/** Sorted, because manifests are read in parallel. */
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

test('an audit with room for few references reads the manifests again for the others', async () => {
  const store = await build({
    manifests: [[0, 1, 2, 3, 4, 5, 6, 7]],
    deleted: [],
    overwritten: [],
  });
  const counts = await Promise.all(
    [8, 7, 1].map(async (most) => {
      const backend = new ObjectBackend(store, { scannedReferences: most });
      for await (const finding of backend.audit({ sample: 0 })) throw new Error(finding.message);
      return backend.metrics().requests.get;
    }),
  );
  // One manifest and eight sidecars; in two passes or more the manifest again.
  expect(counts[0]).toBe(9);
  expect(counts[1]).toBeGreaterThan(9);
  expect(counts[2]).toBe(16);
});
