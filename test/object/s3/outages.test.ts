import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, describe, expect, vi } from 'vitest';
import { isVarveError, type RetryEvent, type Store, type StoreEvent } from '../../../src/index.ts';
import { openStore } from '../../../src/store.ts';
import { alterJson } from '../damage/stored-objects.ts';
import { FaultProxy } from './fault-proxy.ts';
import { CREDENTIALS } from './opened.ts';
import { type ErrorAnswer, S3Server, type SeenRequest } from './s3-server.ts';

vi.setConfig({ testTimeout: 120_000 });

/** How long a call may take, in ms. */
const TIMEOUT_MS = 1000;

/** For calls that need an answer, also on a busy machine. */
const ANSWERED_MS = 4000;

/**
 * Longer than a call takes that keeps its deadline, on a busy machine, and shorter than the 60 s of
 * the default.
 */
const PATIENCE_MS = 15_000;

const OUTAGE = ['UNAVAILABLE', 'THROTTLED', 'BUSY', 'OUTCOME_UNKNOWN'];

const long = (text: string) => `${text} ${'.'.repeat(5000)}`;
const conversation = (id: string, text = long(id)) => ({
  id,
  messages: [{ role: 'user', content: text }],
});

/** Every operation of a store, as a call that succeeds if the service does. */
const VERBS: Readonly<Record<string, (store: Store, scratch: string) => Promise<unknown>>> = {
  put: (store) => store.conversations.put(conversation('new')),
  'put inline': (store) => store.conversations.put(conversation('short', 'hi')),
  get: (store) => store.conversations.get('a'),
  list: (store) => all(store.conversations.list()),
  stat: (store) => store.conversations.stat('a'),
  delete: (store) => store.conversations.delete('a'),
  import: (store) => store.importJsonl([Buffer.from(`${JSON.stringify(conversation('i'))}\n`)]),
  export: (store) => all(store.exportJsonl()),
  append: (store) => store.conversations.append('b', [{ role: 'user', content: long('more') }]),
  hold: (store) => store.conversations.holds.place('b'),
  prune: (store) => all(store.prune.run({ keepLast: 1 })),
  'blob put': (store) => store.blobs.put('blob', [Buffer.from(long('a blob'))]),
  'segment put': (store) => store.segments.put(Buffer.from(long('a segment'))),
  gc: (store) => store.gc.run({ grace: '0s', full: true }),
  audit: (store) => all(store.audit({ repair: true })),
  du: (store) => store.usageBreakdown(),
  info: (store) => store.usage(),
  backup: (store, scratch) => store.backup(join(scratch, 'backup')),
};

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const every: Item[] = [];
  for await (const item of items) every.push(item);
  return every;
}

interface Ended {
  readonly verb: string;
  /** `ok`, or the code of the error. */
  readonly how: string;
  readonly ms: number;
}

/** A service that can be made to fail, with a store of two conversations. */
class Outage {
  readonly server: S3Server;
  readonly proxy: FaultProxy;
  readonly scratch = mkdtempSync(join(tmpdir(), 'varve-outage-'));
  readonly #opened: Store[] = [];

  private constructor(server: S3Server, proxy: FaultProxy) {
    this.server = server;
    this.proxy = proxy;
  }

  static async prepare(): Promise<Outage> {
    const server = await new S3Server().start();
    const outage = new Outage(server, await new FaultProxy(server.port).start());
    const store = await outage.open();
    await store.conversations.put(conversation('a'));
    await store.conversations.put(conversation('b'));
    await store.close();
    return outage;
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#opened.splice(0).map((store) => store.close()));
    await this.proxy.close();
    await this.server.close();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  readonly open = async (
    options: Parameters<typeof openStore>[1] = {},
    endpoint = this.proxy.endpoint,
  ): Promise<Store> => {
    const location = { bucket: 'bucket', region: 'here-1', endpoint, credentials: CREDENTIALS };
    const store = await openStore(location, options);
    this.#opened.push(store);
    return store;
  };

  /** Makes the next process probe again. */
  readonly forgetProbes = () => alterJson(this.server.store, 'varve.json', () => ({ probed: [] }));

  readonly answerAll = (
    answer: (request: SeenRequest) => ErrorAnswer | 'hang' | undefined,
  ): void => {
    this.server.quirks.answerInstead = answer;
  };

  /** Calls every verb at once. */
  readonly callAll = (store: Store): Promise<Ended[]> =>
    Promise.all(
      Object.entries(VERBS).map(async ([verb, call]) => {
        const began = performance.now();
        const how = await call(store, this.scratch).then(
          () => 'ok',
          (error: unknown) => (isVarveError(error) ? error.code : String(error)),
        );
        return { verb, how, ms: performance.now() - began };
      }),
    );
}

const test = base.extend<{ outage: Outage }>({
  // biome-ignore lint/correctness/noEmptyPattern: the form that vitest reads
  outage: async ({}, use) => {
    const outage = await Outage.prepare();
    await use(outage);
    await outage.end();
  },
});

const isManifestPut = ({ method, key }: SeenRequest) =>
  method === 'PUT' && key.startsWith('manifests/');

// Together, because they wait most of the time.
describe.concurrent('a service that fails', () => {
  function assertGaveUp(ended: readonly Ended[], mayEnd: readonly string[]): void {
    for (const { verb, how, ms } of ended) {
      expect(mayEnd, `${verb} ended with ${how}`).toContain(how);
      expect(ms, `${verb} took ${Math.round(ms)} ms`).toBeLessThan(PATIENCE_MS);
    }
  }

  const FAULTS: Record<string, (outage: Outage) => void> = {
    'answers 503 without a body': ({ answerAll }) => answerAll(() => ({ status: 503 })),
    'answers SlowDown': ({ answerAll }) => answerAll(() => ({ status: 503, code: 'SlowDown' })),
    'answers InternalError': ({ answerAll }) =>
      answerAll(() => ({ status: 500, code: 'InternalError' })),
    'takes requests and never answers': ({ answerAll }) => answerAll(() => 'hang'),
    'ends connections before it answers': ({ proxy }) => {
      proxy.choose = () => ({ kind: 'drop-reply' });
    },
    'resets connections': ({ proxy }) => {
      proxy.choose = () => ({ kind: 'reset' });
    },
    'ends answers half-way': ({ proxy }) => {
      proxy.choose = () => ({ kind: 'truncate', bytes: 20 });
    },
    'answers in drops': ({ proxy }) => {
      proxy.choose = () => ({ kind: 'throttle', bytesPerMs: 0.01 });
    },
  };

  test.for(Object.entries(FAULTS))(
    'that %s ends every verb within its deadline',
    async ([, inject], { outage }) => {
      const { open, callAll } = outage;
      const store = await open({ objects: { timeoutMs: TIMEOUT_MS, cacheBytes: 0 } });
      inject(outage);
      assertGaveUp(await callAll(store), OUTAGE);
      const closing = performance.now();
      await store.close();
      expect(performance.now() - closing).toBeLessThan(PATIENCE_MS);
    },
  );

  test('that stores no manifests does not stop readers, and nobody waits for it', async ({
    outage,
  }) => {
    const { open, answerAll, callAll } = outage;
    const store = await open({ objects: { timeoutMs: ANSWERED_MS } });
    answerAll((request) => (isManifestPut(request) ? { status: 503 } : undefined));
    assertGaveUp(await callAll(store), ['ok', ...OUTAGE]);
    const reading = ['get', 'list', 'stat', 'export', 'du', 'info'];
    // No unknown write was applied since, so a second read returns the same.
    for (const { verb, how } of await callAll(store))
      if (reading.includes(verb)) expect({ verb, how }).toEqual({ verb, how: 'ok' });
  });

  test('with SlowDown has done nothing, with a bare 503 it may have', async ({ outage }) => {
    const { open, answerAll } = outage;
    const store = await open({ objects: { timeoutMs: ANSWERED_MS } });
    answerAll((request) =>
      isManifestPut(request) ? { status: 503, code: 'SlowDown' } : undefined,
    );
    await expect(store.conversations.put(conversation('x', 'hi'))).rejects.toMatchObject({
      code: 'THROTTLED',
    });
    await expect(store.conversations.put(conversation('y'))).rejects.toMatchObject({
      code: 'THROTTLED',
    });
    answerAll((request) => (isManifestPut(request) ? { status: 503 } : undefined));
    await expect(store.conversations.put(conversation('x', 'hi'))).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringMatching(/read it before you write it again.*503/),
    });
  });

  test.for(['hang', 'throttled'] as const)(
    '(%s) ends every call as soon as a signal fires',
    async (how, { outage }) => {
      const { open, answerAll, callAll, server } = outage;
      const leaving = new AbortController();
      const store = await open({ signal: leaving.signal });
      const before = server.seen.length;
      answerAll(() => (how === 'hang' ? 'hang' : { status: 503, code: 'SlowDown' }));
      const calls = callAll(store);
      await vi.waitFor(() => expect(server.seen.length).toBeGreaterThan(before + 5), {
        timeout: 30_000,
      });
      const fired = performance.now();
      leaving.abort();
      const ended = await calls;
      const asked = server.seen.length;
      await store.close();
      // By default each would last a minute.
      expect(performance.now() - fired).toBeLessThan(PATIENCE_MS);
      for (const { verb, how } of ended)
        expect(['ABORTED', 'OUTCOME_UNKNOWN'], verb).toContain(how);
      // What is under way is left as it is: at most a report of each run, and the mark, are tried.
      expect(server.seen.length - asked).toBeLessThan(10);
    },
  );

  test('fails the opening within its deadline, whichever request has no answer', async ({
    outage,
  }) => {
    const { open, answerAll, proxy } = outage;
    answerAll(() => 'hang');
    const closed = await new S3Server().start();
    const { endpoint } = closed;
    await closed.close();
    for (const nowhere of [endpoint, proxy.endpoint, 'http://no-such-host.invalid']) {
      const began = performance.now();
      await expect(open({ objects: { timeoutMs: TIMEOUT_MS } }, nowhere)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
      expect(performance.now() - began).toBeLessThan(PATIENCE_MS);
    }
  });

  test("at one of the probe's writes does not fail the opening", async ({ outage }) => {
    const { open, answerAll, forgetProbes, proxy } = outage;
    const answers: (ErrorAnswer | undefined)[] = [
      { status: 503 },
      { status: 503, code: 'SlowDown' },
      { status: 500 },
    ];
    for (let lost = 0; lost < 6; lost++) {
      await forgetProbes();
      let writes = 0;
      answerAll(({ method, key }) =>
        method === 'PUT' && key.includes('probe/') && ++writes === lost + 1
          ? answers[lost % 3]
          : undefined,
      );
      await (await open()).close();
      answerAll(() => undefined);
      await forgetProbes();
      let exchanges = 0;
      proxy.choose = () => (++exchanges === 4 + lost ? { kind: 'drop-reply' } : undefined);
      await (await open()).close();
      proxy.choose = () => undefined;
    }
  });

  test("at all of the probe's writes is named as the cause", async ({ outage }) => {
    const { open, answerAll, forgetProbes } = outage;
    await forgetProbes();
    answerAll(({ method, key }) =>
      method === 'PUT' && key.includes('probe/') ? { status: 503 } : undefined,
    );
    await expect(open({ objects: { timeoutMs: ANSWERED_MS } })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/could not be probed: a write was not answered.*503/),
    });
  });

  test('is reported while it lasts', async ({ outage }) => {
    const { open, answerAll } = outage;
    const events: StoreEvent[] = [];
    const store = await open({
      objects: { timeoutMs: 2000 },
      onEvent: (event) => events.push(event),
    });
    expect(events.map(({ type }) => type)).toEqual(['start', 'done']);
    let refusals = 0;
    answerAll((request) =>
      isManifestPut(request) && refusals++ < 3 ? { status: 503, code: 'SlowDown' } : undefined,
    );
    await store.conversations.put(conversation('x', 'hi'));
    const retries = events.filter((event): event is RetryEvent => event.type === 'retry');
    expect(retries.map(({ reason, attempt, what }) => ({ reason, attempt, what }))).toEqual(
      [2, 3, 4].map((attempt) => ({
        reason: 'SlowDown',
        attempt,
        what: 'PUT manifests/conversation/x.json',
      })),
    );
    for (const { givesUpInMs } of retries) {
      expect(givesUpInMs).toBeGreaterThan(0);
      expect(givesUpInMs).toBeLessThanOrEqual(2000);
    }
  });

  test('makes a store unhealthy, and is reported within the deadline', async ({ outage }) => {
    const { open, answerAll, server } = outage;
    const store = await open({ readOnly: true, objects: { timeoutMs: ANSWERED_MS } });
    expect(await store.health()).toMatchObject({ healthy: true });
    answerAll(() => 'hang');
    expect(await store.health()).toMatchObject({ healthy: false, error: { code: 'UNAVAILABLE' } });
    answerAll(() => undefined);
    expect(await store.health()).toMatchObject({ healthy: true });
    await server.store.delete(['varve.json']);
    expect(await store.health()).toMatchObject({ healthy: false, error: { code: 'CORRUPT' } });
  });
});
