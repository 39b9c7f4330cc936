import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CollectReport } from '../../src/backends/contract/collection.ts';
import { isVarveError, VarveError } from '../../src/core/errors.ts';
import type { ScheduleOptions } from '../../src/gc/schedule.ts';
import { Store } from '../../src/store.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { ModelStore } from '../conformance/model-store.ts';

const HOUR_MS = 3_600_000;

describe('gc.schedule', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  /** A store whose collections take `lastsMs` and are counted. */
  function storeOf(kept = new ModelStore(), lastsMs = 0) {
    const backend = new ModelBackend(kept);
    const starts: number[] = [];
    let running = 0;
    let mostAtOnce = 0;
    const collect = backend.collect.bind(backend);
    backend.collect = async (options) => {
      starts.push(Date.now());
      running++;
      mostAtOnce = Math.max(mostAtOnce, running);
      try {
        if (lastsMs > 0) {
          await new Promise<void>((resolve, reject) => {
            setTimeout(resolve, lastsMs);
            options?.signal?.addEventListener('abort', () =>
              reject(new VarveError('ABORTED', 'aborted')),
            );
          });
        }
        return await collect(options);
      } finally {
        running--;
      }
    };
    return { backend, store: new Store(backend), starts, mostAtOnce: () => mostAtOnce };
  }

  it('runs at once and then at its interval, and reports each run', async () => {
    const { store, starts } = storeOf();
    const begun = Date.now();
    const reports: CollectReport[] = [];
    const schedule = store.gc.schedule({
      every: '6h',
      jitter: 0,
      onReport: (report) => reports.push(report),
    });
    await vi.advanceTimersByTimeAsync(18 * HOUR_MS + 1);
    expect(starts.map((at) => at - begun)).toEqual([0, 6, 12, 18].map((hours) => hours * HOUR_MS));
    expect(reports).toHaveLength(4);
    await schedule.stop();
    await vi.advanceTimersByTimeAsync(24 * HOUR_MS);
    expect(starts).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
    expect(await store.gc.history()).toHaveLength(4);
  });

  it('delays each run by a random time of up to the jitter, without drifting', async () => {
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.5).mockReturnValueOnce(1).mockReturnValue(0);
    const { store, starts } = storeOf();
    const begun = Date.now();
    const schedule = store.gc.schedule({ every: '6h', jitter: '1h' });
    await vi.advanceTimersByTimeAsync(13 * HOUR_MS);
    expect(starts.map((at) => at - begun)).toEqual([0.5, 7, 12].map((hours) => hours * HOUR_MS));
    await schedule.stop();
  });

  it('never overlaps itself: a long run takes the place of the next', async () => {
    const { store, starts, mostAtOnce } = storeOf(undefined, 2.5 * HOUR_MS);
    const begun = Date.now();
    const schedule = store.gc.schedule({ every: '1h', jitter: 0 });
    await vi.advanceTimersByTimeAsync(6 * HOUR_MS);
    expect(starts.map((at) => at - begun)).toEqual([0, 2.5, 5].map((hours) => hours * HOUR_MS));
    expect(mostAtOnce()).toBe(1);
    const stopped = schedule.stop();
    await vi.advanceTimersByTimeAsync(1);
    await stopped;
  });

  it('leaves each turn to one of several processes, and goes on when that one is gone', async () => {
    const kept = new ModelStore();
    const [one, other] = [storeOf(kept), storeOf(kept)];
    const skipped = vi.fn();
    const first = one.store.gc.schedule({ every: '6h', jitter: '1m', onSkip: skipped });
    const second = other.store.gc.schedule({ every: '6h', jitter: '1m', onSkip: skipped });
    await vi.advanceTimersByTimeAsync(59 * HOUR_MS);
    const before = one.starts.length + other.starts.length;
    expect(before).toBe(10);
    expect(skipped).toHaveBeenCalledTimes(10);
    await first.stop();
    await vi.advanceTimersByTimeAsync(24 * HOUR_MS);
    expect(one.starts.length + other.starts.length).toBe(before + 4);
    await second.stop();
  });

  it('does not leave a turn to a process that died in it for longer than its lease', async () => {
    const kept = new ModelStore();
    await new ModelBackend(kept).lease('gc-schedule', 5 * 60_000);
    const { store, starts } = storeOf(kept);
    const schedule = store.gc.schedule({ every: '10m', jitter: 0 });
    await vi.advanceTimersByTimeAsync(11 * 60_000);
    expect(starts).toHaveLength(1);
    await schedule.stop();
  });

  it('keeps its lease while a run is long', async () => {
    const kept = new ModelStore();
    const { store } = storeOf(kept, HOUR_MS);
    const schedule = store.gc.schedule({ every: '6h', jitter: 0 });
    await vi.advanceTimersByTimeAsync(0.9 * HOUR_MS);
    expect(await new ModelBackend(kept).lease('gc-schedule', 1)).toBeUndefined();
    const stopped = schedule.stop();
    await vi.advanceTimersByTimeAsync(1);
    await stopped;
  });

  it('reports a run that failed, leaves the turn to others, and continues', async () => {
    const { backend, store } = storeOf();
    const collect = backend.collect.bind(backend);
    backend.collect = async () => {
      throw new VarveError('UNAVAILABLE', 'no answer');
    };
    const onError = vi.fn();
    const onReport = vi.fn();
    const schedule = store.gc.schedule({ every: '1h', jitter: 0, onError, onReport });
    await vi.advanceTimersByTimeAsync(1);
    expect(onError.mock.calls).toMatchObject([[{ code: 'UNAVAILABLE' }]]);
    const lease = await backend.lease('gc-schedule', 1000);
    expect(lease).toBeDefined();
    await lease?.release();
    backend.collect = collect;
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(onReport).toHaveBeenCalledTimes(1);
    await schedule.stop();
  });

  it('collects without a lease where none can be had', async () => {
    const { backend, store, starts } = storeOf();
    backend.lease = async () => {
      throw new VarveError('UNAVAILABLE', 'no answer');
    };
    const schedule = store.gc.schedule({ every: '1h', jitter: 0 });
    await vi.advanceTimersByTimeAsync(1);
    expect(starts).toHaveLength(1);
    await schedule.stop();
  });

  it('stops in the middle of a run by aborting it, and by its signal', async () => {
    for (const how of ['stop', 'signal'] as const) {
      const { store, starts } = storeOf(undefined, HOUR_MS);
      const controller = new AbortController();
      const onError = vi.fn();
      const schedule = store.gc.schedule({
        every: '6h',
        jitter: 0,
        onError,
        signal: controller.signal,
      });
      await vi.advanceTimersByTimeAsync(60_000);
      if (how === 'stop') await schedule.stop();
      else controller.abort();
      await schedule.ended;
      expect(starts).toHaveLength(1);
      expect(onError).not.toHaveBeenCalled();
      expect((await store.gc.history())[0]?.outcome).toBe('aborted');
    }
  });

  it('ends when the store is closed', async () => {
    const { store } = storeOf();
    const schedule = store.gc.schedule({ every: '1h', jitter: 0 });
    await vi.advanceTimersByTimeAsync(1);
    await store.close();
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    await schedule.ended;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits longer than a timer can', async () => {
    const { store, starts } = storeOf();
    const schedule = store.gc.schedule({ every: '60d', jitter: 0 });
    await vi.advanceTimersByTimeAsync(59 * 24 * HOUR_MS);
    expect(starts).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(24 * HOUR_MS);
    expect(starts).toHaveLength(2);
    await schedule.stop();
  });

  it('refuses invalid durations, and a store for reading only', () => {
    const { store } = storeOf();
    const bad = [
      { every: 0 },
      { every: '1' },
      { every: '6h', jitter: 'x' },
      { every: '6h', grace: -1 },
    ];
    for (const each of bad as ScheduleOptions[]) {
      expect(codeOfThrown(() => store.gc.schedule(each))).toBe('INVALID_ARGUMENT');
    }
    const reader = new Store(new ModelBackend(undefined, { writable: false }));
    expect(codeOfThrown(() => reader.gc.schedule({ every: '6h' }))).toBe('READ_ONLY');
  });
});

function codeOfThrown(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return isVarveError(error) ? error.code : String(error);
  }
}
