import { expect } from 'vitest';
import type { Finding } from '../../../src/backends/contract/audit.ts';
import { commit, remove, segment } from '../../conformance/builders.ts';
import {
  ADDRESS,
  byAddress,
  collected,
  type Damage,
  dataKeyOfB,
  dropHints,
  finding,
  REBUILD,
} from './damage.ts';
import { type DamagedStore, KEY, MANIFEST, TEXT } from './damaged-store.ts';

/** Damage to sidecars, and to the hints that collections follow. */
export const SIDECAR_DAMAGES: readonly Damage[] = [
  {
    name: 'a sidecar that cannot be read',
    kind: 'unindexed',
    damage: (store) => store.write(store.sidecarKey(TEXT.shared), '{"v":1,"nonce":'),
    findings: async (store) => [
      finding({
        kind: 'unindexed',
        message:
          `the sidecar of segment ${ADDRESS.shared} cannot be read: ` +
          `${store.sidecarKey(TEXT.shared)}: not JSON`,
        address: ADDRESS.shared,
        location: store.sidecarKey(TEXT.shared),
        manifests: [KEY.a, KEY.b],
        repair: REBUILD,
      }),
    ],
    leaves: async (store) => {
      const tokens = [
        await store.token(MANIFEST.a, TEXT.shared),
        await store.token(MANIFEST.b, TEXT.shared),
      ];
      const { state, refCount, refs } = await store.sidecar(TEXT.shared);
      expect({ state, refCount, refs: [...refs].sort() }).toEqual({
        state: 'live',
        refCount: 2,
        refs: tokens.sort(),
      });
    },
  },
  {
    name: 'a sidecar of garbage that cannot be read',
    kind: 'unindexed',
    damage: async (store) => {
      await store.use((backend) => commit(backend, remove('b')));
      await dropHints(store);
      await store.write(store.sidecarKey(TEXT.b), 'garbage');
    },
    findings: async (store) => [
      finding({
        kind: 'unindexed',
        message:
          `the sidecar of segment ${ADDRESS.b} cannot be read: ${store.sidecarKey(TEXT.b)}: ` +
          'not JSON',
        address: ADDRESS.b,
        location: store.sidecarKey(TEXT.b),
        repair: REBUILD,
      }),
    ],
    reads: { a: 'whole', b: 'absent' },
    leaves: async (store) => expect(await collected(store)).toBe(1),
  },
  {
    name: 'a sidecar of a newer format',
    kind: 'unindexed',
    damage: (store) => store.alterSidecar(TEXT.b, () => ({ v: 2 })),
    findings: async (store) => [newerSidecar(store)],
    after: async (store) => [newerSidecar(store)],
    leaves: async (store) => expect(await store.sidecar(TEXT.b)).toMatchObject({ v: 2 }),
  },
  {
    name: 'a sidecar with fields that only a later version knows',
    kind: 'unindexed',
    damage: (store) => store.alterSidecar(TEXT.b, () => ({ archived: true, tier: 'cold' })),
    findings: async (store) => [laterSidecar(store)],
    after: async (store) => [laterSidecar(store)],
    leaves: async (store) => {
      expect(await collected(store, { full: true })).toBe(0);
      expect(await store.sidecar(TEXT.b)).toMatchObject({ archived: true, tier: 'cold' });
    },
  },
  {
    name: 'a sidecar that is missing',
    kind: 'unindexed',
    damage: (store) => store.objects.delete([store.sidecarKey(TEXT.b)]),
    findings: async (store) => [
      finding({
        kind: 'unindexed',
        message: `segment ${ADDRESS.b} has data, but no sidecar`,
        address: ADDRESS.b,
        location: await dataKeyOfB(store, TEXT.b),
        manifests: [KEY.b],
        repair: REBUILD,
      }),
    ],
    leaves: async (store) => {
      expect(await store.sidecar(TEXT.b)).toMatchObject({
        state: 'live',
        refs: [await store.token(MANIFEST.b, TEXT.b)],
      });
    },
  },
  {
    name: 'garbage that no hint names',
    kind: 'unindexed',
    damage: async (store) => {
      await store.use((backend) => commit(backend, remove('b')));
      await dropHints(store);
    },
    findings: async (store) => [unhinted(store)],
    reads: { a: 'whole', b: 'absent' },
    leaves: async (store) => expect(await collected(store)).toBe(1),
  },
  {
    name: 'a condemned generation that no hint names',
    kind: 'unindexed',
    damage: async (store) => {
      await store.use((backend) => commit(backend, remove('b')));
      await store.alterSidecar(TEXT.b, () => ({ state: 'condemned' }));
      await dropHints(store);
    },
    findings: async (store) => [unhinted(store)],
    reads: { a: 'whole', b: 'absent' },
    leaves: async (store) => {
      expect(await collected(store)).toBe(1);
      expect(await store.keys(`segments/${ADDRESS.b}/`)).toEqual([]);
    },
  },
  {
    name: 'a reference that no manifest has',
    kind: 'wrong-count',
    damage: (store) =>
      store.alterSidecar(TEXT.b, ({ refs }) => ({
        refs: [...refs, 'AAAAAAAAAAAAAAAA.BBBBBBBBBBBB'],
        refCount: 2,
      })),
    findings: async (store) => [
      finding({
        kind: 'wrong-count',
        message:
          `segment ${ADDRESS.b} counts 1 reference that no manifest has: it could never be ` +
          'collected',
        address: ADDRESS.b,
        location: store.sidecarKey(TEXT.b),
        repair: 'count the references that the manifests have',
      }),
    ],
    leaves: async (store) => {
      expect((await store.sidecar(TEXT.b)).refs).toEqual([await store.token(MANIFEST.b, TEXT.b)]);
      expect(await collected(store)).toBe(0);
      await store.use((backend) => commit(backend, remove('b')));
      expect(await collected(store)).toBe(1);
    },
  },
  {
    name: 'references of a manifest whose object is lost',
    kind: 'wrong-count',
    damage: (store) => store.objects.delete([MANIFEST.b]),
    findings: async (store) =>
      byAddress(
        [TEXT.b, TEXT.shared].map((text) =>
          finding({
            kind: 'wrong-count',
            message:
              `segment ${segment(text).address} counts 1 reference that no manifest has: it ` +
              'could never be collected',
            address: segment(text).address,
            location: store.sidecarKey(text),
            repair: 'count the references that the manifests have',
          }),
        ),
      ),
    reads: { a: 'whole', b: 'absent' },
    // A collection finds by a hint what the repair dropped.
    leaves: async (store) => expect(await collected(store)).toBe(1),
  },
  {
    name: 'a reference that is not counted',
    kind: 'wrong-count',
    damage: (store) => store.alterSidecar(TEXT.b, () => ({ refs: [], refCount: 0, since: 1 })),
    findings: async (store) => [
      finding({
        kind: 'wrong-count',
        message:
          `segment ${ADDRESS.b} counts 1 reference too few: it could be collected although it ` +
          'is in use',
        address: ADDRESS.b,
        location: store.sidecarKey(TEXT.b),
        manifests: [KEY.b],
        repair: 'count the references that the manifests have',
      }),
    ],
    leaves: async (store) => {
      expect((await store.sidecar(TEXT.b)).refs).toEqual([await store.token(MANIFEST.b, TEXT.b)]);
      expect(await collected(store, { full: true })).toBe(0);
    },
  },
  {
    name: 'a number of references that is not theirs',
    kind: 'wrong-count',
    damage: (store) => store.alterSidecar(TEXT.b, () => ({ refCount: 7 })),
    findings: async (store) => [
      finding({
        kind: 'wrong-count',
        message: `the sidecar of segment ${ADDRESS.b} names 1 reference, but its number of references is 7`,
        address: ADDRESS.b,
        location: store.sidecarKey(TEXT.b),
        repair: 'correct the number',
      }),
    ],
    leaves: async (store) => expect((await store.sidecar(TEXT.b)).refCount).toBe(1),
  },
];

const newerSidecar = (store: DamagedStore): Finding =>
  finding({
    kind: 'unindexed',
    message:
      `the sidecar of segment ${ADDRESS.b} cannot be read: ${store.sidecarKey(TEXT.b)}: ` +
      'sidecar format 2 is newer than this version of Varve: install a newer version',
    address: ADDRESS.b,
    location: store.sidecarKey(TEXT.b),
    manifests: [KEY.b],
  });

const laterSidecar = (store: DamagedStore): Finding => {
  const sidecarKey = store.sidecarKey(TEXT.b);
  return finding({
    kind: 'unindexed',
    message:
      `the sidecar of segment ${ADDRESS.b} cannot be read: ${sidecarKey}: the sidecar has ` +
      'fields that this version ' +
      'of Varve does not know (archived, tier): install a newer version',
    address: ADDRESS.b,
    location: sidecarKey,
    manifests: [KEY.b],
  });
};

const unhinted = (store: DamagedStore): Finding =>
  finding({
    kind: 'unindexed',
    message:
      `segment ${ADDRESS.b} is garbage, but no hint names it: only a full collection would ` +
      'find it',
    address: ADDRESS.b,
    location: store.sidecarKey(TEXT.b),
    repair: 'write a hint',
  });
