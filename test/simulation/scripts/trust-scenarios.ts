import type { ManifestKey, ManifestWrite } from '../../../src/backends/contract/manifests.ts';
import { manifestObjectKey, sidecarKey } from '../../../src/backends/object/format/keys.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import {
  alterHeader,
  alterJson,
  bytesOf,
  type Json,
  keysBelow,
} from '../../object/damage/stored-objects.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, B } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';
import { assertReadable, putOf } from './stored-segments.ts';

const [SEGMENT] = SEGMENTS;
if (SEGMENT === undefined) throw new TypeError('there are no segments');
const SIDECAR = sidecarKey(SEGMENT.address);
const NAMELESS = { refs: [], refCount: 0, since: 1 };

/** A store with the manifests A and B. */
async function storeWithBoth({ ObjectBackend }: ProtocolBuild): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  const backend = new ObjectBackend(store);
  for (const key of [A, B]) await backend.commit([putOf(key)]);
  await backend.close();
  return store;
}

function alterSidecar(store: MemoryObjectStore, change: Json): Promise<void> {
  return alterJson(store, SIDECAR, () => change);
}

function alterManifest(store: MemoryObjectStore, key: ManifestKey, change: Json): Promise<void> {
  return alterHeader(store, manifestObjectKey(key), () => change);
}

async function deleteData(store: MemoryObjectStore): Promise<void> {
  const keys = await keysBelow(store, 'segments/');
  await store.delete(keys.filter((key) => !key.endsWith('.meta')));
}

/** Repairs and collects, each in a process of its own. */
async function maintain({ ObjectBackend }: ProtocolBuild, store: MemoryObjectStore): Promise<void> {
  for await (const _ of new ObjectBackend(store).audit({ repair: true }));
  await new ObjectBackend(store).collect({ graceMs: 0, full: true });
}

/** What later versions write, what a put trusts, and what a full collection may take. */
export const TRUST_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'keep-later-versions',
    name: 'what a later version wrote stays as it is',
    run: async (build) => {
      for (const isManifest of [true, false]) {
        const store = await storeWithBoth(build);
        if (isManifest) await alterManifest(store, A, { past: ['a state to come back to'] });
        else await alterSidecar(store, { archived: true });
        const altered = isManifest ? manifestObjectKey(A) : SIDECAR;
        const before = await bytesOf(store, altered);
        const changed = { ...putOf(A), fields: { logicalBytes: 2 } } as ManifestWrite;
        const write = new build.ObjectBackend(store).commit([
          changed,
          { operation: 'delete', key: B },
        ]);
        await write.catch(() => {});
        await maintain(build, store);
        const after = await bytesOf(store, altered);
        check(after.equals(before), () => `${altered} lacks what a later version wrote`);
      }
    },
    mutants: [
      {
        name: 'drops unknown fields of manifests',
        patches: [
          patch(
            'manifest-codec.ts',
            'const HEADER = z.strictObject({',
            'const HEADER = z.object({',
          ),
        ],
      },
      {
        name: 'drops unknown fields of sidecars',
        patches: [
          patch('sidecar.ts', 'const SIDECAR = z.strictObject({', 'const SIDECAR = z.object({'),
        ],
      },
      {
        name: 'rebuilds sidecars that have unknown fields',
        patches: [
          patch(
            'stored-json.ts',
            'const unknown = unknownFields(error.issues);',
            'const unknown: string[] = [];',
          ),
        ],
      },
    ],
  },
  {
    rule: 'trust-only-seen-data',
    name: 'what a put reports as stored can be read, in all manifests that reference it',
    run: async (build) => {
      for (const ruin of [{}, { state: 'gone', ...NAMELESS }, { gen: 'AAAAAAAAAAAAb1' }]) {
        for (const key of [A, { ...A, id: 'new' }]) {
          const store = await storeWithBoth(build);
          await deleteData(store);
          await alterSidecar(store, ruin);
          const backend = new build.ObjectBackend(store);
          const [outcome] = await backend.commit([putOf(key)]);
          check(outcome?.status !== 'failed', () => 'the put failed, although it has the bytes');
          await assertReadable(new build.ObjectBackend(store), key);
          for (let round = 0; round < 2; round++) await maintain(build, store);
          for (const each of [A, B]) await assertReadable(new build.ObjectBackend(store), each);
        }
      }
    },
    mutants: [
      {
        name: 'takes the word of a sidecar that its data is stored',
        patches: [
          patch(
            'segment-taker.ts',
            'if (!isOwn && (await this.isStored(address, gen)))',
            "if (sidecar.state === 'live' || (!isOwn && (await this.isStored(address, gen))))",
          ),
        ],
      },
      {
        name: 'takes the word of a manifest that its segments are stored',
        patches: [patch('object-commit.ts', 'if (lost.length === 0) return plan;', 'return plan;')],
      },
      {
        name: 'keeps the reference to lost data',
        patches: [
          patch(
            'attempt.ts',
            'const renewed = lost.has(address) ? this.#reference(address) : undefined;',
            'const renewed = undefined;',
          ),
        ],
      },
      {
        name: 'revives a generation that was given up, for the manifests that reference it',
        patches: [
          patch(
            'reference-repair.ts',
            'const moved = await mapAll(references',
            'const moved = await mapAll([] as FoundReference[]',
          ),
        ],
      },
    ],
  },
  {
    rule: 'ask-manifests-before-sweeping',
    name: 'a full collection takes nothing that a manifest names',
    run: async (build) => {
      for (const ruin of [
        NAMELESS,
        { ...NAMELESS, state: 'condemned' },
        { ...NAMELESS, state: 'uploading' },
      ]) {
        const store = await storeWithBoth(build);
        await alterSidecar(store, ruin);
        await new build.ObjectBackend(store).collect({ graceMs: 0, full: true });
        // A collection that follows hints must not take it either.
        const hint = { v: 1, segments: [SEGMENT.address], manifests: [] };
        await store.put('hints/releases/hint.json', Buffer.from(JSON.stringify(hint)), {
          kind: 'any',
        });
        await new build.ObjectBackend(store).collect({ graceMs: 0 });
        for (const key of [A, B]) await assertReadable(new build.ObjectBackend(store), key);
      }
    },
    mutants: [
      {
        name: 'asks no manifest',
        patches: [
          patch(
            'suspects.ts',
            'reference.gen === gen && !this.#run.foreseen',
            'reference.gen !== gen && !this.#run.foreseen',
          ),
        ],
      },
      {
        name: 'spares what is named, but does not count it',
        patches: [patch('suspects.ts', 'if (isInUse) {', 'if (isInUse) return; else {')],
      },
      {
        name: 'spares what is condemned, but leaves it condemned',
        patches: [
          patch(
            'suspects.ts',
            '} else await this.#repair.move(',
            '} else if (confirmed.length < 0) await this.#repair.move(',
          ),
        ],
      },
    ],
  },
];
