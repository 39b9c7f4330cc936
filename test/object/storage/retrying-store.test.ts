import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MeteredStore } from '../../../src/backends/storage/decorators/metered-store.ts';
import { Retries, type RetryPolicy } from '../../../src/backends/storage/decorators/retries.ts';
import { RetryingStore } from '../../../src/backends/storage/decorators/retrying-store.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import type { PutCondition, PutResult } from '../../../src/backends/storage/object-store.ts';
import { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import { ServiceFault } from '../../../src/backends/storage/service-fault.ts';
import { VarveError } from '../../../src/core/errors.ts';
import { SystemClock } from '../../../src/core/system/system-clock.ts';
import { HastyClock } from './hasty-clock.ts';

const ABSENT: PutCondition = { kind: 'absent' };
const BODY = Buffer.from('body');

/** What happens to a try: it works, fails, or its request or its answer is lost. */
type Try =
  | 'works'
  | 'unavailable'
  | 'throttled'
  | 'denied'
  | 'corrupt'
  | 'applied-unanswered'
  | 'lost-unanswered';

/** A memory store whose first calls end as planned; later ones work. */
class MoodyStore extends MemoryObjectStore {
  readonly tries: Try[];
  calls = 0;
  retryAfterMs: number | undefined;

  constructor(tries: readonly Try[]) {
    super();
    this.tries = [...tries];
  }

  override async get(...parameters: Parameters<MemoryObjectStore['get']>) {
    this.#mayFail();
    return super.get(...parameters);
  }

  override async put(...parameters: Parameters<MemoryObjectStore['put']>): Promise<PutResult> {
    const mood = this.#mayFail();
    if (mood === 'lost-unanswered')
      return { outcome: 'unknown', error: new VarveError('UNAVAILABLE', 'no answer') };
    const result = await super.put(...parameters);
    if (mood !== 'applied-unanswered') return result;
    return { outcome: 'unknown', error: new VarveError('UNAVAILABLE', 'no answer') };
  }

  #mayFail(): Try {
    this.calls++;
    const mood = this.tries.shift() ?? 'works';
    const codes = {
      unavailable: 'UNAVAILABLE',
      throttled: 'THROTTLED',
      denied: 'DENIED',
      corrupt: 'CORRUPT',
    } as const;
    if (!(mood in codes)) return mood;
    const cause = new ServiceFault('', {
      name: 'SlowDown',
      status: 503,
      retryAfterMs: this.retryAfterMs,
    });
    throw new VarveError(codes[mood as keyof typeof codes], `it is ${mood}`, { cause });
  }
}

function retrying(store: MoodyStore, policy: Partial<RetryPolicy> = {}) {
  const clock = new HastyClock();
  const meter = new RequestMeter();
  const components = { clock, randomness: { fraction: () => 0.5 }, meter };
  return {
    clock,
    meter,
    repeated: new RetryingStore(new MeteredStore(store, meter), new Retries(components, policy)),
  };
}

describe('a retrying store', () => {
  test('repeats transient failures, and counts them', async () => {
    const store = new MoodyStore(['unavailable', 'throttled', 'works']);
    const { repeated, meter } = retrying(store);
    expect(await repeated.get('key')).toBeUndefined();
    expect(meter.metrics()).toMatchObject({ requests: { get: 3 }, retries: 2, failures: 2 });
  });

  test('does not repeat permanent failures', async () => {
    const store = new MoodyStore(['denied']);
    await expect(retrying(store).repeated.get('key')).rejects.toMatchObject({ code: 'DENIED' });
    expect(store.calls).toBe(1);
  });

  test('reads a body again that does not match its checksum, a few times', async () => {
    const once = new MoodyStore(['corrupt']);
    expect(await retrying(once).repeated.get('key')).toBeUndefined();
    const always = new MoodyStore(Array.from({ length: 10 }, () => 'corrupt'));
    await expect(retrying(always).repeated.get('key')).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(always.calls).toBe(3);
  });

  test('waits longer each time, up to a bound, and gives up at the deadline', async () => {
    const store = new MoodyStore(Array.from({ length: 1000 }, () => 'unavailable'));
    const { repeated, clock } = retrying(store, { deadlineMs: 20_000 });
    await expect(repeated.get('key')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(
        /^it is unavailable \(gave up after \d+ tries in \d+\.\d s\)$/,
      ),
    });
    expect(clock.sleeps.slice(0, 4)).toEqual([25, 50, 100, 200]);
    expect(Math.max(...clock.sleeps)).toBe(2500);
    expect(clock.monotonic()).toBeLessThanOrEqual(20_000);
    expect(clock.monotonic()).toBeGreaterThan(17_000);
  });

  test('waits as long as the service asks', async () => {
    const store = new MoodyStore(['throttled']);
    store.retryAfterMs = 3000;
    const { repeated, clock } = retrying(store);
    await repeated.get('key');
    expect(clock.sleeps).toEqual([3025]);
  });

  test('does not wait when the service asks for a pause beyond the deadline', async () => {
    const store = new MoodyStore(['throttled']);
    store.retryAfterMs = 120_000;
    const { repeated, clock } = retrying(store);
    await expect(repeated.get('key')).rejects.toMatchObject({ code: 'THROTTLED' });
    expect(clock.sleeps).toEqual([]);
  });

  test('sends few requests during an outage, however many callers there are', async () => {
    const store = new MoodyStore(Array.from({ length: 100_000 }, () => 'unavailable'));
    const { repeated } = retrying(store, {
      deadlineMs: 10_000,
      retriesAtOnce: 50,
      retriesPerSecond: 10,
    });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, () => repeated.get('key')),
    );
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
    // The first tries, the burst, and ten a second for ten seconds.
    expect(store.calls).toBeGreaterThan(200 + 50);
    expect(store.calls).toBeLessThanOrEqual(200 + 50 + 10 * 10);
  });

  test('allows most retries when most requests succeed', async () => {
    // One in twenty is throttled, for longer than the burst of retries allows.
    const tries = Array.from(
      { length: 20_000 },
      (_, index): Try => (index % 20 === 0 ? 'throttled' : 'works'),
    );
    const { repeated, clock } = retrying(new MoodyStore(tries), {
      retriesAtOnce: 10,
      retriesPerSecond: 0.001,
    });
    for (let asked = 0; asked < 10_000; asked++) await repeated.get('key');
    expect(Math.max(...clock.sleeps)).toBe(25);
  });

  test('stops waiting at once when the signal fires', async () => {
    const store = new MoodyStore(Array.from({ length: 100 }, () => 'unavailable'));
    const components = { clock: new SystemClock(), randomness: { fraction: () => 1 } };
    const repeated = new RetryingStore(store, new Retries(components, { firstPauseMs: 30_000 }));
    const controller = new AbortController();
    const asking = repeated.get('key', { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('enough')));
    await expect(asking).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    expect(store.calls).toBe(1);
  });

  test('stores an object once whose answer was lost', async () => {
    const store = new MoodyStore(['lost-unanswered', 'throttled']);
    expect(await retrying(store).repeated.put('key', BODY, ABSENT)).toMatchObject({
      outcome: 'stored',
    });
  });

  test('does not report as refused what may be its own success', async () => {
    const store = new MoodyStore(['applied-unanswered']);
    const result = await retrying(store).repeated.put('key', BODY, ABSENT);
    expect(result).toMatchObject({ outcome: 'unknown', error: { message: 'no answer' } });
    expect(store.calls).toBe(2);
  });

  test('reports as refused what was never unknown', async () => {
    const store = new MoodyStore(['works', 'throttled']);
    await store.put('key', BODY, ABSENT);
    expect(await retrying(store).repeated.put('key', BODY, ABSENT)).toEqual({ outcome: 'refused' });
  });

  test('reports an unknown outcome if one try had one, however the others end', async () => {
    for (const ending of ['denied', 'unavailable'] as const) {
      const store = new MoodyStore([
        'lost-unanswered',
        ...Array.from({ length: 100 }, () => ending),
      ]);
      const result = await retrying(store, { deadlineMs: 1000 }).repeated.put('key', BODY, ABSENT);
      expect(result).toMatchObject({ outcome: 'unknown' });
    }
  });

  test('throws the last failure if no try had an unknown outcome', async () => {
    const store = new MoodyStore(Array.from({ length: 100 }, () => 'throttled'));
    const { repeated } = retrying(store, { deadlineMs: 1000 });
    await expect(repeated.put('key', BODY, ABSENT)).rejects.toMatchObject({ code: 'THROTTLED' });
  });

  test('never reports a wrong outcome', async () => {
    const mood = fc.constantFrom<Try>(
      'works',
      'unavailable',
      'throttled',
      'denied',
      'applied-unanswered',
      'lost-unanswered',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(mood, { maxLength: 8 }), fc.boolean(), async (tries, exists) => {
        const store = new MoodyStore([]);
        if (exists) await store.put('key', Buffer.from('other'), ABSENT);
        store.tries.push(...tries);
        const { repeated } = retrying(store);
        const result = await repeated.put('key', BODY, ABSENT).catch(() => 'thrown' as const);
        store.tries.length = 0;
        const isOurs = Buffer.from((await store.get('key'))?.body ?? []).equals(BODY);
        if (result === 'thrown' || result.outcome === 'refused') expect(isOurs).toBe(false);
        else if (result.outcome === 'stored') expect(isOurs).toBe(true);
      }),
    );
  });
});
