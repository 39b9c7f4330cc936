import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { KEPT_REPORTS, MAX_REPORT_BYTES } from '../../src/backends/contract/reports.ts';
import type { Fixture } from './fixture.ts';

const HOUR_MS = 3_600_000;

export function describeOperations(fixture: Fixture): void {
  describe('the reports of runs', () => {
    test('are kept and listed, newest first', async () => {
      const { reports } = fixture.backend;
      expect(await reports.list()).toEqual([]);
      for (const time of [3000, 1000, 2000]) await reports.add({ time, body: `{"at":${time}}` });
      expect((await reports.list()).map(({ time }) => time)).toEqual([3000, 2000, 1000]);
      expect(await reports.list({ limit: 2 })).toEqual([
        { time: 3000, body: '{"at":3000}' },
        { time: 2000, body: '{"at":2000}' },
      ]);
      expect(await reports.list({ limit: 0 })).toEqual([]);
    });

    test('of one moment are all kept', async () => {
      const { reports } = fixture.backend;
      await Promise.all(['a', 'b', 'c'].map((body) => reports.add({ time: 1000, body })));
      expect((await reports.list()).map(({ body }) => body).sort()).toEqual(['a', 'b', 'c']);
    });

    test('are bounded: the newest stay', async () => {
      const { reports } = fixture.backend;
      const extra = 150;
      for (let start = 0; start < KEPT_REPORTS + extra; start += 50) {
        await Promise.all(
          Array.from({ length: 50 }, (_, n) =>
            reports.add({ time: start + n, body: String(start + n) }),
          ),
        );
      }
      const listed = await reports.list({ limit: 10 * KEPT_REPORTS });
      expect(listed).toHaveLength(KEPT_REPORTS);
      expect(listed[0]?.body).toBe(String(KEPT_REPORTS + extra - 1));
      expect(listed.at(-1)?.body).toBe(String(extra));
    }, 60_000);

    test('may not be too long, nor from no time', async () => {
      const { reports } = fixture.backend;
      const long = 'é'.repeat(MAX_REPORT_BYTES / 2);
      await reports.add({ time: 1, body: long });
      await expect(reports.add({ time: 1, body: `${long}x` })).rejects.toMatchObject({
        code: 'TOO_LARGE',
      });
      await expect(reports.add({ time: Number.NaN, body: '' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect((await reports.list()).map(({ body }) => body)).toEqual([long]);
    });

    test('are listed by a handle for reading only, which adds none', async (context) => {
      const { readOnly } = fixture.opened;
      if (!readOnly) return context.skip();
      await fixture.backend.reports.add({ time: 1, body: 'first' });
      const reader = await readOnly();
      try {
        expect((await reader.reports.list()).map(({ body }) => body)).toEqual(['first']);
        await expect(reader.reports.add({ time: 2, body: 'second' })).rejects.toMatchObject({
          code: 'READ_ONLY',
        });
        await expect(reader.lease('gc', HOUR_MS)).rejects.toMatchObject({ code: 'READ_ONLY' });
      } finally {
        await reader.close();
      }
    });
  });

  describe('a lease', () => {
    test('is had by one at a time, until it is released', async () => {
      const { backend } = fixture;
      const lease = await backend.lease('gc', HOUR_MS);
      expect(lease).toBeDefined();
      expect(await backend.lease('gc', HOUR_MS)).toBeUndefined();
      expect(await backend.lease('other', HOUR_MS)).toBeDefined();
      expect(await lease?.renew(HOUR_MS)).toBe(true);
      await lease?.release();
      expect(await backend.lease('gc', HOUR_MS)).toBeDefined();
    });

    test('passes to another when its time is over, and is then no longer renewed or released', async () => {
      const { backend } = fixture;
      const first = await backend.lease('gc', 1);
      expect(first).toBeDefined();
      const second = await expired(backend);
      expect(await first?.renew(HOUR_MS)).toBe(false);
      await first?.release();
      expect(await backend.lease('gc', HOUR_MS)).toBeUndefined();
      expect(await second?.renew(HOUR_MS)).toBe(true);
    });

    test('goes to one of several who ask at once', async (context) => {
      const { second } = fixture.opened;
      if (!second) return context.skip();
      const other = await second();
      try {
        const asked = [fixture.backend, other, fixture.backend, other].map((each) =>
          each.lease('gc', HOUR_MS),
        );
        expect((await Promise.all(asked)).filter((lease) => lease !== undefined)).toHaveLength(1);
      } finally {
        await other.close();
      }
    });

    test('needs a name and a time that can be', async () => {
      for (const [name, ttlMs] of [
        ['', 1],
        ['a/b', 1],
        ['gc', 0],
        ['gc', Number.NaN],
      ] as const) {
        await expect(fixture.backend.lease(name, ttlMs)).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
      }
    });
  });
}

/** Asks until a lease that is about to run out has done so: services give whole seconds. */
async function expired(backend: Backend) {
  for (;;) {
    const lease = await backend.lease('gc', HOUR_MS);
    if (lease !== undefined) return lease;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
