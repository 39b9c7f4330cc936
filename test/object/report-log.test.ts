import { expect, it } from 'vitest';
import { KEPT_REPORTS } from '../../src/backends/contract/reports.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { SystemRandomness } from '../../src/core/system/system-clock.ts';

class Fraction extends SystemRandomness {
  value = 1;
  override fraction(): number {
    return this.value;
  }
}

it('deletes the oldest reports with one write in sixteen', async () => {
  const store = new MemoryObjectStore();
  const randomness = new Fraction();
  const { reports } = new ObjectBackend(store, {}, { randomness });
  const count = async () => {
    const { objects, isTruncated } = await store.list('reports/');
    const rest = isTruncated
      ? await store.list('reports/', { after: objects.at(-1)?.key ?? '' })
      : { objects: [] };
    return objects.length + rest.objects.length;
  };
  for (let time = 0; time < KEPT_REPORTS + 20; time++)
    await reports.add({ time, body: String(time) });
  expect(await count()).toBe(KEPT_REPORTS + 20);
  randomness.value = 1 / 17;
  await reports.add({ time: KEPT_REPORTS + 20, body: 'last' });
  expect(await count()).toBe(KEPT_REPORTS);
  const listed = await reports.list();
  expect([listed[0]?.body, listed.at(-1)?.body]).toEqual(['last', '21']);
});
