import { expect } from 'vitest';
import type { Finding } from '../../../src/backends/contract/audit.ts';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import { append, commit, entry, put, remove, segment } from '../../conformance/builders.ts';
import {
  ADDRESS,
  collected,
  type Damage,
  dataKeyOfB,
  expectHealing,
  finding,
  MARKED,
  TO_MARK,
} from './damage.ts';
import { type DamagedStore, KEY, OTHER_GENERATION, TEXT } from './damaged-store.ts';

const LONG = ' and more of it';

/** Damage to the data of segments. */
export const DATA_DAMAGES: readonly Damage[] = [
  {
    name: 'data that is missing',
    kind: 'missing-data',
    damage: async (store) => store.objects.delete([await store.dataKey(TEXT.b)]),
    findings: async (store) => [
      finding({
        kind: 'missing-data',
        message: `the data of segment ${ADDRESS.b} is missing`,
        address: ADDRESS.b,
        location: await store.dataKey(TEXT.b),
        manifests: [KEY.b],
        repair: TO_MARK,
        harmful: true,
      }),
    ],
    after: async (store) => [
      finding({
        kind: 'missing-data',
        message: `the data of segment ${ADDRESS.b} is missing`,
        address: ADDRESS.b,
        location: await store.dataKey(TEXT.b),
        manifests: [KEY.b],
        repair: MARKED,
        harmful: true,
      }),
    ],
    reads: { a: 'whole', b: 'NOT_FOUND' },
    leaves: expectHealing,
  },
  {
    name: 'data that is missing with its sidecar',
    kind: 'missing-data',
    damage: async (store) => store.objects.delete(await store.keys(`segments/${ADDRESS.shared}`)),
    findings: async (store) => [
      finding({
        kind: 'missing-data',
        message: `the data of segment ${ADDRESS.shared} is missing`,
        address: ADDRESS.shared,
        location: await dataKeyOfB(store, TEXT.shared),
        manifests: [KEY.a, KEY.b],
        repair: TO_MARK,
        harmful: true,
      }),
    ],
    after: async (store) => [
      finding({
        kind: 'missing-data',
        message: `the data of segment ${ADDRESS.shared} is missing`,
        address: ADDRESS.shared,
        location: await dataKeyOfB(store, TEXT.shared),
        manifests: [KEY.a, KEY.b],
        repair: MARKED,
        harmful: true,
      }),
    ],
    reads: { a: 'NOT_FOUND', b: 'NOT_FOUND' },
    leaves: expectHealing,
  },
  {
    name: 'data that is corrupt',
    kind: 'corrupt-data',
    damage: async (store) => store.flip(await store.dataKey(TEXT.shared)),
    findings: async (store) => [await corruptShared(store, TO_MARK)],
    after: async (store) => [await corruptShared(store, MARKED)],
    reads: { a: 'CORRUPT', b: 'CORRUPT' },
    leaves: expectHealing,
  },
  {
    name: 'data of a newer format',
    kind: 'corrupt-data',
    damage: async (store) =>
      store.write(await store.dataKey(TEXT.b), 'VFR\x02 and what is to come'),
    findings: async (store) => [await newerData(store)],
    after: async (store) => [await newerData(store)],
    reads: { a: 'whole', b: 'UNSUPPORTED_FORMAT' },
    leaves: async (store) => {
      await store.use((backend) => commit(backend, put('again', [entry('again', TEXT.b)])));
      expect((await store.bytes(await store.dataKey(TEXT.b))).toString()).toMatch(
        /^VFR.*what is to come/,
      );
    },
  },
  {
    name: 'corrupt data that no manifest needs',
    kind: 'corrupt-data',
    damage: async (store) => {
      await store.use((backend) => commit(backend, remove('b')));
      await store.flip(await store.dataKey(TEXT.b));
    },
    findings: async (store) => [await corruptGarbage(store, TO_MARK)],
    after: async (store) => [await corruptGarbage(store, MARKED)],
    reads: { a: 'whole', b: 'absent' },
    leaves: async (store) => {
      expect(await collected(store)).toBe(1);
      expect(await store.findings()).toEqual([]);
    },
  },
  {
    name: 'a body that was spilled into a segment and is corrupt',
    kind: 'corrupt-data',
    damage: async (store) => {
      // With this body, all inline bodies are too large and are spilled together.
      await store.use((backend) => commit(backend, append('b', [entry(LONG)])), { spillAbove: 10 });
      await store.flip(await store.dataKey(`body of b${LONG}`));
    },
    findings: async (store) => [await corruptBody(store, TO_MARK)],
    after: async (store) => [await corruptBody(store, MARKED)],
    reads: { a: 'whole', b: 'CORRUPT' },
    leaves: async (store) => {
      await store.use((backend) => commit(backend, put('again', [entry('', `body of b${LONG}`)])));
      expect(await store.findings()).toEqual([]);
    },
  },
  {
    name: 'data without a sidecar that no manifest needs',
    kind: 'orphaned-data',
    damage: async (store) => store.write(orphanKey(), 'left by nobody'),
    findings: async () => [
      finding({
        kind: 'orphaned-data',
        message: `data of segment ${segment('orphan').address} has no sidecar`,
        address: segment('orphan').address,
        location: orphanKey(),
        repair: 'delete it',
      }),
    ],
    leaves: async (store) => expect(await store.keys(orphanKey())).toEqual([]),
  },
  {
    name: 'data of a life that is over',
    kind: 'orphaned-data',
    damage: (store) => store.write(segmentKey(ADDRESS.b, OTHER_GENERATION), 'written late'),
    findings: async () => [
      finding({
        kind: 'orphaned-data',
        message: `data of segment ${ADDRESS.b} belongs to a generation that is over`,
        address: ADDRESS.b,
        location: segmentKey(ADDRESS.b, OTHER_GENERATION),
        repair: 'delete it',
      }),
    ],
    leaves: async (store) => {
      expect(await store.keys(`segments/${ADDRESS.b}/`)).toEqual([await store.dataKey(TEXT.b)]);
    },
  },
  {
    name: 'data that came back after it was collected',
    kind: 'orphaned-data',
    damage: async (store) => {
      const dataKey = await store.dataKey(TEXT.b);
      const body = await store.bytes(dataKey);
      await store.use((backend) => commit(backend, remove('b')));
      await collected(store);
      await store.write(dataKey, body);
    },
    findings: async (store) => [
      finding({
        kind: 'orphaned-data',
        message: `data of segment ${ADDRESS.b} belongs to a generation that is over`,
        address: ADDRESS.b,
        location: await store.dataKey(TEXT.b),
        repair: 'delete it',
      }),
    ],
    reads: { a: 'whole', b: 'absent' },
    leaves: async (store) => expect(await store.keys(`segments/${ADDRESS.b}/`)).toEqual([]),
  },
];

const orphanKey = () => segmentKey(segment('orphan').address, OTHER_GENERATION);

function corruptShared(store: DamagedStore, repair: string): Promise<Finding> {
  return corrupt(store, TEXT.shared, { manifests: [KEY.a, KEY.b], harmful: true, repair });
}

function corruptBody(store: DamagedStore, repair: string): Promise<Finding> {
  return corrupt(store, `body of b${LONG}`, { manifests: [KEY.b], harmful: true, repair });
}

function corruptGarbage(store: DamagedStore, repair: string): Promise<Finding> {
  return corrupt(store, TEXT.b, { repair });
}

async function newerData(store: DamagedStore): Promise<Finding> {
  const location = await store.dataKey(TEXT.b);
  const reason = `segment ${ADDRESS.b} (${location}): frame format 2 is newer than this version of Varve`;
  return finding({
    kind: 'corrupt-data',
    message: `the data of segment ${ADDRESS.b} cannot be read: ${reason}: install a newer version`,
    address: ADDRESS.b,
    location,
    manifests: [KEY.b],
    harmful: true,
  });
}

/** Flips a bit of the payload and keeps the frame valid: only the content is wrong. */
async function corrupt(
  store: DamagedStore,
  text: string,
  rest: Partial<Finding>,
): Promise<Finding> {
  const { address } = segment(text);
  const location = await store.dataKey(text);
  const reason = `segment ${address} is damaged: the bytes of ${location} have another address`;
  return finding({
    kind: 'corrupt-data',
    message: `the data of segment ${address} cannot be read: ${reason}`,
    address,
    location,
    ...rest,
  });
}
