import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import type { ObjectStore } from '../../../src/backends/storage/object-store.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import { A, B } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

async function put(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [outcome] = await backend.commit([
    {
      operation: 'put',
      key,
      ifExists: 'error',
      fields: { logicalBytes: 1 },
      entries: [{ body: Buffer.from(key.id), segments: SEGMENTS }],
    },
  ]);
  check(outcome?.status === 'created', () => `putting ${key.id} ended as ${outcome?.status}`);
}

async function assertReadable(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [stored] = await backend.read([key]);
  const segments = await backend.fetch(stored?.entries[0]?.segments ?? []);
  const isWhole =
    segments.length === SEGMENTS.length && segments.every((bytes, at) => isSame(bytes, at));
  check(isWhole, () => `${key.id} is not what was put`);
}

function isSame(bytes: Uint8Array, at: number): boolean {
  const expected = SEGMENTS[at]?.bytes?.();
  return expected !== undefined && Buffer.compare(bytes, expected) === 0;
}

async function keysOf(store: ObjectStore, is: (key: string) => boolean): Promise<string[]> {
  return (await store.list('')).objects.map(({ key }) => key).filter(is);
}

/** What is repaired when objects are lost or damaged, and what must not be made of it. */
export const DAMAGE_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'scan-before-deleting-strays',
    name: 'data without a sidecar is not taken for garbage while a manifest needs it',
    run: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await put(new ObjectBackend(store), A);
      await store.delete(await keysOf(store, (key) => key.endsWith('.meta')));
      const backend = new ObjectBackend(store);
      await backend.collect({ graceMs: 0, full: true });
      for await (const _ of backend.audit({ repair: true }));
      await backend.collect({ graceMs: 0, full: true });
      await assertReadable(backend, A);
    },
    mutants: [
      {
        name: 'takes data without a sidecar for garbage',
        patches: [patch('audit-sidecar.ts', 'if (held.length === 0) {', 'if (true) {')],
      },
    ],
  },
  {
    rule: 'heal-on-put',
    name: 'putting the same bytes again heals what was damaged',
    run: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await put(new ObjectBackend(store), A);
      for (const key of await keysOf(store, (each) => /^segments\/[0-9a-f]{64}\//.test(each))) {
        await store.put(key, Buffer.from('damage'), { kind: 'any' });
      }
      for await (const _ of new ObjectBackend(store).audit({ repair: true }));
      await put(new ObjectBackend(store), B);
      await assertReadable(new ObjectBackend(store), A);
    },
    mutants: [
      {
        name: 'does not heal',
        patches: [
          patch(
            'segment-taker.ts',
            '    if (sidecar.damaged) {',
            '    if (sidecar.refs.length < 0) {',
          ),
        ],
      },
    ],
  },
];
