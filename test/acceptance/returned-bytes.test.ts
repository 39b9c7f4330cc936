import { expect, test } from 'vitest';
import type { Store } from '../../src/index.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import { describeEverywhere } from './every-place.ts';
import { collect } from './place.ts';

function scribble(bytes: Uint8Array | Uint32Array | undefined): void {
  bytes?.fill(0x5c);
}

/** Every way to get bytes out of a store. What comes is copied, then scribbled over at once. */
async function readAll(store: Store): Promise<Record<string, Buffer[]>> {
  const { conversations, segments, blobs } = store;
  const addresses = ((await segments.stat('pin')) ?? expect.unreachable()).addresses;
  const read: Record<string, Buffer[]> = {};
  const take = (name: string, bytes: Uint8Array | undefined) => {
    read[name] = [...(read[name] ?? []), Buffer.from(bytes ?? [])];
    scribble(bytes);
  };
  for (const address of addresses) take('segments.get', await segments.get(address));
  const ids = await segments.getTokens(addresses.at(-1) ?? expect.unreachable());
  take('segments.getTokens', new Uint8Array(ids?.buffer ?? new ArrayBuffer()));
  for await (const { bytes } of segments.getMany([...addresses, ...addresses]))
    take('segments.getMany', bytes);
  for (const [name, range] of [
    ['whole', {}],
    ['a range', { start: 10_000, end: 500_000 }],
    ['another range', { start: 0, end: 5 }],
  ] as const) {
    for await (const piece of (await blobs.get('blob', range)) ?? [])
      take(`blobs.get, ${name}`, piece);
  }
  for (const { id } of await collect(conversations.list())) {
    take('getBytes', await conversations.getBytes(id));
    const value = (await conversations.get(id)) as { typed?: Uint32Array };
    take('typed ids', value.typed && Buffer.from(value.typed.buffer.slice(0)));
    scribble(value.typed);
  }
  for await (const piece of store.exportJsonl()) take('exportJsonl', piece);
  const [manifest] = await store.backend.read([{ kind: 'conversation', id: 'long' }]);
  for (const { body } of manifest?.entries ?? []) take('bodies', body);
  return read;
}

describeEverywhere((open) => {
  test('whoever scribbles over what was returned spoils it for nobody', async () => {
    const store = await open();
    const repeated = Buffer.concat([
      Buffer.alloc(600_000, 'abc'),
      randomBytes(1, 600_000),
      Buffer.alloc(600_000, 'abc'),
    ]);
    await store.blobs.put('blob', repeated);
    await store.segments.put(Buffer.from('short'), { pin: 'pin' });
    await store.segments.put(randomBytes(2, 300_000), { pin: 'pin' });
    await store.segments.putTokens([1, 2, 3, 70_000], { pin: 'pin' });
    const long = 'x'.repeat(1_500_000);
    await store.conversations.put({
      id: 'long',
      messages: [long, long, '"escaped"\n'.repeat(110_000)],
      long,
    });
    await store.conversations.put({
      id: 'short',
      typed: new Uint32Array(2000).fill(5),
      messages: ['y'.repeat(5000)],
    });
    const keys = Array.from({ length: 32_000 }, (_, index) => [
      `key ${index}`,
      'a value of some length',
    ]);
    await store.conversations.put({ id: 'wide', ...Object.fromEntries(keys) });
    const first = await readAll(store);
    for (let round = 0; round < 2; round++) {
      const again = await readAll(store);
      for (const [name, bytes] of Object.entries(first)) {
        expect([name, Buffer.concat(again[name] ?? []).equals(Buffer.concat(bytes))]).toEqual([
          name,
          true,
        ]);
      }
    }
    expect(Buffer.concat(first['blobs.get, whole'] ?? []).equals(repeated)).toBe(true);
    expect(
      Buffer.concat(first['blobs.get, a range'] ?? []).equals(repeated.subarray(10_000, 500_000)),
    ).toBe(true);
    expect(await collect(store.audit({ deep: true }))).toEqual([]);
  });

  test('whoever uses memory again before a call has ended spoils nothing that is stored', async () => {
    const store = await open();
    const content = randomBytes(3, 2_000_000);
    const own = Buffer.from(content);
    const [first, second, third, ids] = [
      content.subarray(0, 50_000),
      Buffer.from('two'),
      Buffer.from('three'),
      [1, 2],
    ];
    const puts = [
      store.segments.put(own.subarray(0, 50_000), { pin: 'pin' }),
      store.segments.put(second, { pin: 'pin' }),
      store.segments.putTokens(ids, { pin: 'pin' }),
    ];
    const many = collect(store.segments.putMany(source(), { pin: 'pin' }));
    const text = Buffer.from('{"id":"c","messages":["of a text"]}');
    const conversation = store.conversations.put(text);
    scribble(own);
    scribble(second);
    scribble(text);
    ids.fill(9);
    function* source() {
      yield third;
      scribble(third);
    }
    await Promise.all([...puts, conversation, many]);
    const append = Buffer.from('["added"]');
    const appending = store.conversations.append('c', append);
    scribble(append);
    await appending;
    const stored = await collect(
      store.segments.getMany((await store.segments.stat('pin'))?.addresses ?? []),
    );
    const texts = stored.map(({ bytes }) => Buffer.from(bytes ?? []).toString('latin1')).sort();
    const expected = [
      first,
      Buffer.from('two'),
      Buffer.from('three'),
      Buffer.from(Uint32Array.of(1, 2).buffer),
    ];
    expect(texts).toEqual(expected.map((bytes) => bytes.toString('latin1')).sort());
    expect(await store.conversations.get('c')).toEqual({
      id: 'c',
      messages: ['of a text', 'added'],
    });
    const uploading = store.blobs.put('blob', own);
    for (let at = 0; at < 20; at++) {
      await new Promise((resolve) => setImmediate(resolve));
      own.fill(at);
    }
    await uploading;
    // What a blob holds is whatever was there when its turn came; but that is whole and sound.
    expect(await collect(store.audit({ deep: true }))).toEqual([]);
  });
});
