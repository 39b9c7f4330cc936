import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type * as seal from '../../src/cas/codec/seal.ts';
import type * as naming from '../../src/core/name.ts';
import { addressOf, openStore, type Store } from '../../src/index.ts';
import { CREDENTIALS } from '../object/s3/opened.ts';
import { S3Server } from '../object/s3/s3-server.ts';
import { collect, exported, newFolder } from './place.ts';

/** All that was given a name. */
const named = vi.hoisted(() => new Set<string>());

/** A seal that only the same role and identity open. */
vi.mock('../../src/cas/codec/seal.ts', async (importOriginal) => {
  const real = await importOriginal<typeof seal>();
  const { createHash } = await import('node:crypto');
  const { decodeFrame } = await import('../../src/cas/codec/frame.ts');
  const mask = (bytes: Uint8Array, { role, identity }: seal.SealedAs): Buffer => {
    const pad = createHash('sha256').update(`${role} ${identity}`).digest();
    return Buffer.from(bytes.map((byte, at) => byte ^ (pad[at % pad.length] as number)));
  };
  return {
    encodeSealed: (...[raw, as, options]: Parameters<typeof seal.encodeSealed>) =>
      mask(real.encodeSealed(raw, as, options), as),
    decodeSealed: (...[sealed, as, what]: Parameters<typeof seal.decodeSealed>) =>
      decodeFrame(mask(sealed, as), what),
  };
});

vi.mock('../../src/core/name.ts', async (importOriginal) => {
  const real = await importOriginal<typeof naming>();
  return {
    name: <Name extends string>(plain: Name): Name => {
      const name = real.name(plain);
      named.add(name);
      return name;
    },
  };
});

/** Uses every kind of frame and of object, and reads all of it back. */
async function use(store: Store): Promise<void> {
  const long = 'A sentence that is long enough to be a segment of its own. '.repeat(40);
  const messages = (count: number, of: string) =>
    Array.from({ length: count }, (_, at) => ({ role: 'user', content: `${of} ${at} ${long}` }));
  for (let at = 0; at < 20; at++) {
    await store.conversations.put({ id: `c${at}`, messages: messages(4, `c${at % 7}`) });
  }
  await store.conversations.append('c1', messages(3, 'more'));
  await store.blobs.put('blob', Buffer.from(long.repeat(30)), { expiresAt: Date.now() + 1e9 });
  const { pin } = await store.segments.put(Buffer.from(`pinned ${long}`));
  const tokens = Array.from({ length: 500 }, (_, at) => at * 7);
  await store.conversations.put({ id: 'tokens', messages: [{ role: 'user', content: tokens }] });
  const before = await exported(store);
  await store.conversations.deleteMany(['c2', 'c3']);
  await store.segments.release(pin);
  for await (const _ of store.conversations.list({})) {
    // A list writes rollups on objects.
  }
  expect(await collect(store.audit({ repair: true }))).toEqual([]);
  await store.gc.run({ grace: 0, full: true });
  const after = await exported(store);
  expect(after.length).toBeGreaterThan(before.length / 2);
  expect(await collect(store.audit())).toEqual([]);
}

/** A frame that was not sealed starts with this. */
const MAGIC = 'VFR';

describe('what is stored', () => {
  test('in a directory is sealed, each frame for what it is', async () => {
    const folder = newFolder();
    const store = await openStore(folder);
    await use(store);
    await store.close();
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const packs = files.filter((file) => file.endsWith('.pack'));
    expect(packs.length).toBeGreaterThan(0);
    for (const pack of packs) {
      const bytes = readFileSync(join(folder, pack));
      expect(bytes.includes('VBLK')).toBe(true);
      expect(bytes.includes(MAGIC)).toBe(false);
    }
    await using again = await openStore(folder);
    expect(await again.conversations.get('c5')).toMatchObject({ id: 'c5' });
  });

  test('among objects is sealed, and has a name that it was given', async () => {
    const server = await new S3Server().start();
    onTestFinished(() => server.close());
    const { bucket, endpoint } = server;
    const location = { bucket, region: 'here-1', endpoint, credentials: CREDENTIALS };
    const store = await openStore(location);
    await use(store);
    await store.close();
    const { objects } = await server.store.list('');
    expect(new Set(objects.map(({ key }) => key.split('/')[0]))).toEqual(
      new Set([
        'varve.json',
        'segments',
        'manifests',
        'index',
        'heads',
        'catalog',
        'reports',
        'hints',
      ]),
    );
    for (const { key } of objects) {
      expect(named, key).toContain(key);
      const body = Buffer.from((await server.store.get(key))?.body ?? []);
      expect(body.subarray(0, 3).toString('latin1'), key).not.toBe(MAGIC);
    }
  });

  test('has addresses that were named', () => {
    const address = addressOf(Buffer.from('any bytes'));
    expect(named).toContain(address);
  });
});
