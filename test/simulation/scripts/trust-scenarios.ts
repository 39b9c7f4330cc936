import type { ManifestKey, ManifestWrite } from '../../../src/backends/contract/manifests.ts';
import { manifestObjectKey, sidecarKey } from '../../../src/backends/object/format/keys.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { decodeFrame, encodeFrame } from '../../../src/cas/codec/frame.ts';
import { ByteReader, ByteWriter } from '../../../src/cas/codec/varint.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';
import { patch } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { A, B } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';

type Json = Record<string, unknown>;

const [SEGMENT] = SEGMENTS;
if (SEGMENT === undefined) throw new TypeError('there are no segments to script with');
const SIDECAR = sidecarKey(SEGMENT.address);
const NAMELESS = { refs: [], refCount: 0, since: 1 };

function put(key: ManifestKey): ManifestWrite {
  const entries = [{ body: Buffer.from(key.id), segments: SEGMENTS }];
  return { operation: 'put', key, ifExists: 'replace', fields: { logicalBytes: 1 }, entries };
}

/** A store with A and B in it, by a process that has ended. */
async function furnished({ ObjectBackend }: ProtocolBuild): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  const backend = new ObjectBackend(store);
  for (const key of [A, B]) await backend.commit([put(key)]);
  await backend.close();
  return store;
}

async function bytesOf(store: MemoryObjectStore, key: string): Promise<Buffer> {
  const object = await store.get(key);
  check(object !== undefined, () => `${key} is gone`);
  return Buffer.from(object.body);
}

async function alterSidecar(store: MemoryObjectStore, change: Json): Promise<void> {
  const sidecar = JSON.parse((await bytesOf(store, SIDECAR)).toString());
  await store.put(SIDECAR, Buffer.from(JSON.stringify({ ...sidecar, ...change })), { kind: 'any' });
}

async function alterManifest(
  store: MemoryObjectStore,
  key: ManifestKey,
  change: Json,
): Promise<void> {
  const objectKey = manifestObjectKey(key);
  const reader = new ByteReader(decodeFrame(await bytesOf(store, objectKey), objectKey), objectKey);
  const header = JSON.parse(reader.bytes(reader.varint()).toString());
  const json = Buffer.from(JSON.stringify({ ...header, ...change }));
  const out = new ByteWriter();
  out.varint(json.length);
  out.bytes(json);
  out.bytes(reader.rest());
  await store.put(objectKey, encodeFrame(out.view(), { checksum: true }), { kind: 'any' });
}

async function dropData(store: MemoryObjectStore): Promise<void> {
  const { objects } = await store.list('segments/');
  await store.delete(objects.map(({ key }) => key).filter((key) => !key.endsWith('.meta')));
}

/** Everything that maintains a store, each as a process of its own. Failures are theirs. */
async function maintain({ ObjectBackend }: ProtocolBuild, store: MemoryObjectStore): Promise<void> {
  for await (const _ of new ObjectBackend(store).audit({ repair: true }));
  await new ObjectBackend(store).collect({ graceMs: 0, full: true });
}

async function assertReadable(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [stored] = await backend.read([key]);
  const fetched = await backend.fetch(stored?.entries[0]?.segments ?? []);
  const isWhole =
    fetched.length === SEGMENTS.length && fetched.every((bytes, at) => isSame(bytes, at));
  check(isWhole, () => `${key.id} is not what was put`);
}

function isSame(bytes: Uint8Array, at: number): boolean {
  const expected = SEGMENTS[at]?.bytes?.();
  return expected !== undefined && Buffer.compare(bytes, expected) === 0;
}

/** What versions to come write, what is said to be stored, and what a full collection may take. */
export const TRUST_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'keep-later-versions',
    name: 'what a later version wrote stays as it is',
    run: async (build) => {
      for (const isManifest of [true, false]) {
        const store = await furnished(build);
        if (isManifest) await alterManifest(store, A, { past: ['a state to come back to'] });
        else await alterSidecar(store, { archived: true });
        const altered = isManifest ? manifestObjectKey(A) : SIDECAR;
        const before = await bytesOf(store, altered);
        const changed = { ...put(A), fields: { logicalBytes: 2 } } as ManifestWrite;
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
        name: 'drops fields of manifests that it does not know, as the codec before it',
        patches: [
          patch(
            'manifest-codec.ts',
            'const HEADER = z.strictObject({',
            'const HEADER = z.object({',
          ),
        ],
      },
      {
        name: 'drops fields of sidecars that it does not know, as the codec before it',
        patches: [
          patch('sidecar.ts', 'const SIDECAR = z.strictObject({', 'const SIDECAR = z.object({'),
        ],
      },
      {
        name: 'makes sidecars anew that have fields it does not know',
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
    name: 'what a put says is stored can be read, and can be read again by all who hold it',
    run: async (build) => {
      for (const ruin of [{}, { state: 'gone', ...NAMELESS }, { gen: 'AAAAAAAAAAAAb1' }]) {
        for (const key of [A, { ...A, id: 'new' }]) {
          const store = await furnished(build);
          await dropData(store);
          await alterSidecar(store, ruin);
          const backend = new build.ObjectBackend(store);
          const [outcome] = await backend.commit([put(key)]);
          check(outcome?.status !== 'failed', () => 'the put failed, though it has the bytes');
          await assertReadable(new build.ObjectBackend(store), key);
          for (let round = 0; round < 2; round++) await maintain(build, store);
          for (const each of [A, B]) await assertReadable(new build.ObjectBackend(store), each);
        }
      }
    },
    mutants: [
      {
        name: 'trusts a sidecar that its data is stored',
        patches: [
          patch(
            'segment-taker.ts',
            'if (!isOwn && (await this.isStored(address, gen)))',
            "if (sidecar.state === 'live' || (!isOwn && (await this.isStored(address, gen))))",
          ),
        ],
      },
      {
        name: 'trusts a manifest that what it holds is stored',
        patches: [patch('attempt-steps.ts', 'return lost.length > 0;', 'return false;')],
      },
      {
        name: 'keeps the hold on what is lost',
        patches: [
          patch(
            'manifest-job.ts',
            'const renewed = lost.has(address) ? this.#taken(address) : undefined;',
            'const renewed = undefined;',
          ),
        ],
      },
      {
        name: 'brings a generation back that was given up, for those that hold it',
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
        const store = await furnished(build);
        await alterSidecar(store, ruin);
        await new build.ObjectBackend(store).collect({ graceMs: 0, full: true });
        // What it has found stays safe from those that follow hints.
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
            'if (suspects.get(address)?.gen !== reference.gen || ',
            'if (address || ',
          ),
        ],
      },
      {
        name: 'spares what is named, and counts it not',
        patches: [
          patch('suspects.ts', 'if (isUsable(sidecar)) {', 'if (isUsable(sidecar)) return; else {'),
        ],
      },
      {
        name: 'spares what is condemned, and leaves it so',
        patches: [
          patch(
            'suspects.ts',
            '} else await this.#repair.move(',
            '} else if (holds.length < 0) await this.#repair.move(',
          ),
        ],
      },
    ],
  },
];
