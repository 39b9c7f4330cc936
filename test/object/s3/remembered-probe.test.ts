import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import type { Store } from '../../../src/store.ts';
import { openStore } from '../../../src/store.ts';
import { alterJson, bytesOf, type Json, keysBelow } from '../damage/stored-objects.ts';
import { CREDENTIALS } from './opened.ts';
import { S3Server } from './s3-server.ts';

/** What a store remembers of the service that it was probed on, and how that is checked. */

const DAY_MS = 24 * 60 * 60 * 1000;

/** With a segment, or all inline. */
const long = (id: string) => conversation(id, `${id} ${'.'.repeat(5000)}`);
const conversation = (id: string, content = 'hi') => ({
  id,
  messages: [{ role: 'user', content }],
});

interface Probed {
  readonly service: string;
  readonly at: number;
}

let objects: MemoryObjectStore;
let server: S3Server;
const opened: Store[] = [];
const warnings: string[] = [];

beforeEach(async () => {
  objects = new MemoryObjectStore();
  server = await new S3Server(objects).start();
  warnings.length = 0;
  await (await open()).close();
});
afterEach(async () => {
  await Promise.allSettled(opened.splice(0).map((store) => store.close()));
  await server.close();
});

async function open(
  at: { prefix?: string; on?: S3Server; timeoutMs?: number } = {},
): Promise<Store> {
  const { prefix = 'p', on = server, timeoutMs = 10_000 } = at;
  const store = await openStore(
    {
      bucket: 'bucket',
      prefix,
      region: 'here-1',
      endpoint: on.endpoint,
      credentials: CREDENTIALS,
    },
    { onWarning: (message) => warnings.push(message), objects: { timeoutMs } },
  );
  opened.push(store);
  return store;
}

/** The requests that work takes, as a service sees them. */
async function requestsOf(work: () => Promise<unknown>, on = server): Promise<string[]> {
  const before = on.seen.length;
  await work();
  return on.seen.slice(before).map(({ method, key }) => `${method} ${key.replace(/^p\//, '')}`);
}

/** Whether opening for writing probes. */
const probes = async (at: Parameters<typeof open>[0] = {}) => {
  const requests = await requestsOf(() => open(at), at.on ?? server);
  return requests.some((request) => request.includes('probe/'));
};

const probed = async (): Promise<Probed[]> =>
  JSON.parse((await bytesOf(objects, 'p/varve.json')).toString()).probed;

const remember = (change: (probed: Probed) => Json) =>
  alterJson<{ probed: Probed[] }>(objects, 'p/varve.json', (descriptor) => ({
    probed: descriptor.probed.map((each) => ({ ...each, ...change(each) })),
  }));

describe('a probe is remembered', () => {
  test('so that opening for writing takes one request, and the first write another', async () => {
    let store: Store | undefined;
    expect(
      await requestsOf(async () => {
        store = await open();
      }),
    ).toEqual(['GET varve.json']);
    const put = (id: string) =>
      requestsOf(() => (store as Store).conversations.put(conversation(id)));
    const journal = expect.stringMatching(/^PUT journal\/conversation\//);
    expect(await put('a')).toEqual([
      journal,
      'PUT varve.json',
      'PUT manifests/conversation/a.json',
    ]);
    expect(await put('b')).toEqual([journal, 'PUT manifests/conversation/b.json']);
  });

  test('without a name of a host or a bucket', async () => {
    expect(await probed()).toEqual([
      { service: expect.stringMatching(/^[0-9a-f]{32}$/), at: expect.any(Number) },
    ]);
    expect((await bytesOf(objects, 'p/varve.json')).toString()).not.toMatch(/127|bucket|http/);
  });

  test('for a week, by the clock of the service', async () => {
    await remember(({ at }) => ({ at: at - 6.9 * DAY_MS }));
    expect(await probes()).toBe(false);
    await remember(({ at }) => ({ at: at - 7 * DAY_MS }));
    expect(await probes()).toBe(true);
    expect(await probes()).toBe(false);
    await remember(({ at }) => ({ at: at + DAY_MS }));
    expect(await probes()).toBe(true);
    expect(await probed()).toHaveLength(1);
  });

  test('for one endpoint, and a few of them', async () => {
    const other = await new S3Server(objects).start();
    expect(await probes({ on: other })).toBe(true);
    expect(await probes({ on: other })).toBe(false);
    expect(await probes()).toBe(false);
    expect(await probed()).toHaveLength(2);
    await other.close();
  });

  test('for one place: a copy of the store is probed', async () => {
    await objects.put('copy/varve.json', await bytesOf(objects, 'p/varve.json'), { kind: 'any' });
    expect(await probes({ prefix: 'copy' })).toBe(true);
  });

  test('for one service: what calls itself otherwise is probed', async () => {
    server.quirks.server = 'another';
    expect(await probes()).toBe(true);
    expect(await probes()).toBe(false);
  });

  test('unless there is something to warn of', async () => {
    server.quirks.lifecycleRules = [{ ID: 'all', Status: 'Enabled', Expiration: { Days: 30 } }];
    await remember(({ at }) => ({ at: at - 7 * DAY_MS }));
    for (const times of [1, 2]) {
      expect(await probes()).toBe(true);
      expect(warnings).toHaveLength(times);
    }
  });

  test('not in a store of format 1, which stays as it is', async () => {
    const {
      probed: _,
      journal: __,
      ...descriptor
    } = JSON.parse((await bytesOf(objects, 'p/varve.json')).toString());
    const body = Buffer.from(JSON.stringify({ ...descriptor, format: 1 }));
    await objects.put('p/varve.json', body, { kind: 'any' });
    expect(await probes()).toBe(true);
    expect(await probes()).toBe(true);
    const store = await open();
    const put = () => store.conversations.put(conversation('a'));
    expect(await requestsOf(put)).not.toContain('PUT varve.json');
    expect(await bytesOf(objects, 'p/varve.json')).toEqual(body);
  });

  test('also where several processes probe at once', async () => {
    await remember(() => ({ at: 1 }));
    await Promise.all(Array.from({ length: 5 }, () => open()));
    expect(await probes()).toBe(false);
    expect(await probed()).toHaveLength(1);
  });
});

describe('a service that has changed since', () => {
  /** All objects but hints and journals, which say too much. */
  const everything = async () => {
    const keys = (await keysBelow(objects, '')).filter((key) => !/\/(hints|journal)\//.test(key));
    return Promise.all(
      keys.map(async (key) => [key, (await bytesOf(objects, key)).toString('hex')]),
    );
  };

  test.each([
    ['inline', conversation('a')],
    ['with a segment', long('a')],
  ])('is refused before a write that it would not judge: %s', async (_, given) => {
    const store = await open();
    await store.conversations.put(conversation('before'));
    const later = await open();
    server.quirks.ignoresIfMatch = true;
    server.quirks.ignoresIfNoneMatch = true;
    const before = await everything();
    await expect(later.conversations.put(given)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(
        /If-Match and an old tag is accepted.*nothing more is written/,
      ),
    });
    expect(await everything()).toEqual(before);
    server.quirks.ignoresIfMatch = false;
    server.quirks.ignoresIfNoneMatch = false;
    await expect(later.conversations.put(conversation('b'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(later.conversations.delete('before')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await later.conversations.get('before')).toMatchObject({ id: 'before' });
  });

  test('is refused as soon as a write makes a version', async () => {
    for (const given of [conversation('a'), long('b')]) {
      delete server.quirks.versioning;
      const store = await open();
      await store.conversations.put(conversation(`before ${given.id}`));
      server.quirks.versioning = 'Enabled';
      await expect(store.conversations.put(given)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/keeps old versions by now.*nothing more is written/),
      });
      await expect(store.conversations.put(conversation('c'))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect(await store.conversations.get('c')).toBeUndefined();
    }
  });

  test('is not refused where versions were kept once', async () => {
    server.quirks.versioning = 'Suspended';
    const store = await open();
    await store.conversations.put(long('a'));
    expect(await store.conversations.get('a')).toMatchObject({ id: 'a' });
  });

  test('is probed where the settings of the bucket may not be read', async () => {
    server.quirks.settingsDenied = true;
    server.quirks.versioning = 'Enabled';
    await expect(open({ prefix: 'new' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('its bucket keeps old versions'),
    });
    expect(await keysBelow(objects, 'new/')).toEqual([]);
  });

  test('is probed again once it calls itself otherwise, while the store is open', async () => {
    const store = await open();
    await store.conversations.put(conversation('a'));
    server.quirks.server = 'another';
    expect(await store.conversations.get('a')).toMatchObject({ id: 'a' });
    server.quirks.ignoresIfMatch = true;
    await expect(store.conversations.put(conversation('b'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('cannot keep a store'),
    });
  });
});

describe('the recheck', () => {
  test('is shared by calls that begin at once', async () => {
    const store = await open();
    const ids = Array.from({ length: 20 }, (_, at) => `c${at}`);
    const putAll = () => Promise.all(ids.map((id) => store.conversations.put(conversation(id))));
    const requests = await requestsOf(putAll);
    expect(requests.filter((request) => request === 'PUT varve.json')).toHaveLength(1);
  });

  test('is repeated when it is not answered, and then nothing is written', async () => {
    const store = await open();
    let failures = 2;
    server.quirks.answerInstead = ({ method, key }) =>
      method === 'PUT' && key === 'p/varve.json' && failures-- > 0 ? { status: 500 } : undefined;
    await store.conversations.put(conversation('a'));
    const other = await open({ timeoutMs: 1000 });
    server.quirks.answerInstead = ({ method, key }) =>
      method === 'PUT' && key === 'p/varve.json' ? { status: 500 } : undefined;
    await expect(other.conversations.put(conversation('b'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(await keysBelow(objects, 'p/manifests/')).toEqual(['p/manifests/conversation/a.json']);
    delete server.quirks.answerInstead;
    await other.conversations.put(conversation('b'));
  });
});
