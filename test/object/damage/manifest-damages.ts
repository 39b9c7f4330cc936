import { expect } from 'vitest';
import type { Finding } from '../../../src/backends/contract/audit.ts';
import type { AttemptId } from '../../../src/backends/object/format/sidecar.ts';
import { encodeFrame } from '../../../src/cas/codec/frame.ts';
import { ByteWriter } from '../../../src/cas/codec/varint.ts';
import { ADDRESS, byAddress, collected, type Damage, finding } from './damage.ts';
import { type DamagedStore, KEY, MANIFEST, TEXT } from './damaged-store.ts';

/** Damage to manifests, and what dead writers leave in them. */
export const MANIFEST_DAMAGES: readonly Damage[] = [
  {
    name: 'an attempt of a writer that is gone',
    kind: 'stale-writer',
    damage: async (store) => {
      await store.dropWriter(KEY.b, 'taken by a writer that dies');
      store.clock.time += 60_000;
    },
    findings: async () => [staleWriter()],
    leaves: async (store) => {
      expect((await store.record(MANIFEST.b)).pending).toEqual([]);
      expect(await collected(store)).toBe(4);
    },
  },
  {
    name: 'references that a dead writer began to drop',
    kind: 'stale-writer',
    damage: async (store) => {
      const attempt = 'CCCCCCCCCCCC' as AttemptId;
      const referrer = (await store.token(MANIFEST.b, TEXT.b)).split('.')[0];
      await store.alterSidecar(TEXT.a, ({ refs }) => ({
        refs: [...refs, `${referrer}.${attempt}`],
        refCount: 2,
      }));
      await store.alterRecord(MANIFEST.b, () => ({ dropped: [{ address: ADDRESS.a, attempt }] }));
      store.clock.time += 60_000;
    },
    findings: async () => [staleWriter()],
    leaves: async (store) => {
      expect((await store.record(MANIFEST.b)).dropped).toEqual([]);
      expect((await store.sidecar(TEXT.a)).refs).toEqual([await store.token(MANIFEST.a, TEXT.a)]);
    },
  },
  {
    name: 'a corrupt manifest',
    kind: 'corrupt-manifest',
    damage: (store) => store.flip(MANIFEST.b),
    findings: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    after: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    reads: { a: 'whole', b: 'CORRUPT' },
    leaves: async (store) => {
      // Restored, it has lost nothing.
      await store.flip(MANIFEST.b);
      expect(await collected(store, { full: true })).toBe(0);
      expect(await store.read()).toEqual({ a: 'whole', b: 'whole' });
      expect(await store.findings()).toEqual([]);
    },
  },
  {
    name: 'a manifest of a newer format',
    kind: 'corrupt-manifest',
    damage: (store) => store.write(MANIFEST.b, newerManifest()),
    findings: async (store) => [await unreadableManifest(store, 'UNSUPPORTED_FORMAT')],
    after: async (store) => [await unreadableManifest(store, 'UNSUPPORTED_FORMAT')],
    reads: { a: 'whole', b: 'UNSUPPORTED_FORMAT' },
    leaves: async (store) => expect(await collected(store, { full: true })).toBe(0),
  },
  {
    name: 'a manifest with fields that only a later version knows',
    kind: 'corrupt-manifest',
    damage: (store) => store.alterHeader(MANIFEST.b, () => ({ past: [] })),
    findings: async (store) => [await unreadableManifest(store, 'UNSUPPORTED_FORMAT')],
    after: async (store) => [await unreadableManifest(store, 'UNSUPPORTED_FORMAT')],
    reads: { a: 'whole', b: 'UNSUPPORTED_FORMAT' },
    leaves: async (store) => expect(await collected(store, { full: true })).toBe(0),
  },
  {
    name: 'a manifest overwritten with what begins as a frame does',
    kind: 'corrupt-manifest',
    damage: (store) => store.write(MANIFEST.b, 'VFRgarbage'),
    findings: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    after: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    reads: { a: 'whole', b: 'CORRUPT' },
    leaves: async (store) => expect(await collected(store, { full: true })).toBe(0),
  },
  {
    name: 'a manifest under the key of another',
    kind: 'corrupt-manifest',
    damage: async (store) => store.write(MANIFEST.b, await store.bytes(MANIFEST.a)),
    findings: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    after: async (store) => [await unreadableManifest(store, 'CORRUPT')],
    reads: { a: 'whole', b: 'CORRUPT' },
    leaves: async (store) => expect(await collected(store, { full: true })).toBe(0),
  },
  {
    name: 'a foreign object among the manifests',
    kind: 'corrupt-manifest',
    damage: (store) => store.write('manifests/conversation/notes.txt', 'mine'),
    findings: async () => [foreignManifest()],
    after: async () => [foreignManifest()],
    leaves: async (store) =>
      expect((await store.bytes('manifests/conversation/notes.txt')).toString()).toBe('mine'),
  },
  {
    name: 'a corrupt manifest beside losses that only manifests could show',
    kind: 'corrupt-manifest',
    damage: async (store) => {
      await store.flip(MANIFEST.b);
      await store.objects.delete([store.sidecarKey(TEXT.b)]);
      await store.write(store.sidecarKey(TEXT.shared), 'not a sidecar');
    },
    findings: async (store) => besideCorruptManifest(store),
    after: async (store) => besideCorruptManifest(store),
    reads: { a: 'whole', b: 'CORRUPT' },
    leaves: async (store) => {
      await store.flip(MANIFEST.b);
      await store.findings({ repair: true });
      expect(await store.findings()).toEqual([]);
      expect((await store.sidecar(TEXT.shared)).refs).toHaveLength(2);
    },
  },
];

/** A manifest's frame with the header of a later version. */
function newerManifest(): Buffer {
  const header = Buffer.from('{"v":3}');
  const out = new ByteWriter(32);
  out.varint(header.length);
  out.bytes(header);
  return encodeFrame(out.view(), { checksum: true });
}

const staleWriter = (): Finding =>
  finding({
    kind: 'stale-writer',
    message: 'a writer of conversation "b" ended before it had finished',
    location: MANIFEST.b,
    repair: 'fence its attempt, and drop the references that it took',
  });

/** The message of an audit, with that of the error that a reader gets. */
async function unreadableManifest(store: DamagedStore, code: string): Promise<Finding> {
  const error: unknown = await store
    .use((backend) => backend.heads([KEY.b]))
    .catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code, message: expect.stringContaining(MANIFEST.b) });
  return finding({
    kind: 'corrupt-manifest',
    message: `a manifest cannot be read: ${(error as Error).message}`,
    location: MANIFEST.b,
    manifests: [KEY.b],
    harmful: true,
  });
}

const foreignManifest = (): Finding =>
  finding({
    kind: 'corrupt-manifest',
    message: 'a manifest cannot be read: manifests/conversation/notes.txt: not a Varve frame',
    location: 'manifests/conversation/notes.txt',
    harmful: true,
  });

async function besideCorruptManifest(store: DamagedStore): Promise<Finding[]> {
  const waits = 'none: it waits until every manifest can be read';
  const [dataKey = ''] = await store.keys(`segments/${ADDRESS.b}/`);
  const losses = [
    finding({
      kind: 'orphaned-data',
      message: `data of segment ${ADDRESS.b} has no sidecar`,
      address: ADDRESS.b,
      location: dataKey,
      repair: waits,
    }),
    finding({
      kind: 'unindexed',
      message:
        `the sidecar of segment ${ADDRESS.shared} cannot be read: ` +
        `${store.sidecarKey(TEXT.shared)}: not JSON`,
      address: ADDRESS.shared,
      location: store.sidecarKey(TEXT.shared),
      manifests: [KEY.a],
      repair: waits,
    }),
  ];
  return [await unreadableManifest(store, 'CORRUPT'), ...byAddress(losses)];
}
