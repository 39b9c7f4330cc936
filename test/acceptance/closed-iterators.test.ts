import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore, type Store } from '../../src/index.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import { describeEverywhere } from './every-place.ts';
import { collect, newFolder } from './place.ts';

/** Everything of a store that is iterated, over more than one item that is read at once. */
const ITERATORS: [
  string,
  (store: Store) => AsyncIterable<unknown> | Promise<AsyncIterable<unknown> | undefined>,
][] = [
  ['conversations.list', ({ conversations }) => conversations.list()],
  ['holds.list', ({ conversations }) => conversations.holds.list()],
  ['segments.pins', ({ segments }) => segments.pins()],
  [
    'segments.getMany',
    async ({ segments }) => segments.getMany((await segments.stat('p1'))?.addresses ?? []),
  ],
  ['blobs.list', ({ blobs }) => blobs.list()],
  ['blobs.get', ({ blobs }) => blobs.get('b1')],
  ['exportJsonl', (store) => store.exportJsonl()],
  ['exportJsonl of ids', (store) => store.exportJsonl({ ids: ['c1', 'c2'] })],
];

describeEverywhere((open) => {
  test.each(ITERATORS)('%s that goes on after close says so', async (_, begin) => {
    const store = await open();
    const long = (id: string) => ({ id, messages: ['x'.repeat(1_200_000)] });
    await collect(store.conversations.putMany([long('c1'), long('c2')]));
    await store.conversations.holds.place(['c1', 'c2']);
    for (const pin of ['p1', 'p2']) {
      await collect(store.segments.putMany([Buffer.from('one'), Buffer.from('two')], { pin }));
      await store.blobs.put(pin.replace('p', 'b'), randomBytes(1, 600_000));
    }
    const items = (await begin(store))?.[Symbol.asyncIterator]() ?? expect.unreachable();
    expect((await items.next()).done).toBe(false);
    await store.close();
    await expect(items.next()).rejects.toMatchObject({ name: 'VarveError', code: 'CLOSED' });
  });
});

test('an audit that goes on after close says so', async () => {
  const folder = newFolder();
  const store = await openStore(folder);
  for (const pin of ['p1', 'p2', 'p3']) await store.segments.put(randomBytes(2, 5000), { pin });
  for (const seed of [3, 4]) await store.segments.put(randomBytes(seed, 5000), { pin: `q${seed}` });
  await store.close();
  for (const name of readdirSync(join(folder, 'packs'))) {
    const pack = readFileSync(join(folder, 'packs', name));
    for (let at = 1000; at < pack.length; at += 1000) pack[at] = (pack[at] as number) ^ 1;
    writeFileSync(join(folder, 'packs', name), pack);
  }
  const again = await openStore(folder);
  const findings = again.audit();
  expect((await findings.next()).done).toBe(false);
  await again.close();
  await expect(findings.next()).rejects.toMatchObject({ name: 'VarveError', code: 'CLOSED' });
});
