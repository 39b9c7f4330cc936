import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RecordStore } from '../../src/backends/local/packs/record-store.ts';
import { commit, entry, hold, idsOf, put, remove } from '../conformance/builders.ts';
import { expectSoundNow, openStore, rejection, scratchFolder } from './support.ts';

const COUNT = 1000;

/** Ids in an order that has nothing to do with that of archiving. */
const mixed = Array.from({ length: COUNT }, (_, number) => `c${(number * 383) % COUNT}`);

/** @param onSecond called at the begin of the second transaction after the store was filled. */
async function filled(path: string, onSecond = () => {}) {
  let isFilled = false;
  let transactions = 0;
  const clock = () => {
    if (isFilled && ++transactions === 2) onSecond();
    return Date.now();
  };
  const backend = await openStore(path, { bodyBlockBytes: 4096 }, { clock });
  const puts = Array.from({ length: COUNT }, (_, number) => {
    const text = `${number} `.repeat(40);
    return put(`c${number}`, [entry(text, `of ${number}`, `shared ${number % 10}`)]);
  });
  await backend.commit(puts);
  isFilled = true;
  return backend;
}

describe('many deletes', () => {
  it('read each block once, whatever their order', async () => {
    const backend = await filled(scratchFolder());
    const read = vi.spyOn(RecordStore.prototype, 'readPrefix');
    onTestFinished(() => read.mockRestore());
    const outcomes = await backend.commit(mixed.map((id) => remove(id)));
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['deleted']));
    const blocks = read.mock.calls.map(([{ id }]) => id);
    expect(blocks.length).toBeGreaterThan(20);
    expect(new Set(blocks).size).toBe(blocks.length);
    await expectSoundNow(backend);
  });

  it('have outcomes in the order in which they were given', async () => {
    const backend = await filled(scratchFolder());
    await commit(backend, hold('c7'));
    const [revision] = await backend.heads([{ kind: 'conversation', id: 'c8' }]);
    await commit(backend, put('c8', [entry('changed')], { ifExists: 'replace' }));
    const ids = ['c9', 'none', 'c7', 'c9', ...mixed.slice(0, 20).filter((id) => id !== 'c9')];
    const outcomes = await backend.commit([
      ...ids.map((id) => remove(id)),
      remove('c8', { ifRevision: revision?.revision ?? ('' as never) }),
    ]);
    const seen = outcomes.map((outcome) =>
      outcome.status === 'failed' ? outcome.error.code : outcome.status,
    );
    expect(seen.slice(0, 4)).toEqual(['deleted', 'absent', 'HELD', 'absent']);
    expect(new Set(seen.slice(4, -1))).toEqual(new Set(['deleted']));
    expect(seen.at(-1)).toBe('CONFLICT');
    await expectSoundNow(backend);
  });

  it('end between commits when they are aborted, and go on when they are made again', async () => {
    const controller = new AbortController();
    const backend = await filled(scratchFolder(), () => controller.abort());
    const deletes = mixed.map((id) => remove(id));
    await rejection(backend.commit(deletes, { signal: controller.signal }), 'ABORTED');
    const left = (await idsOf(backend.list('conversation'))).length;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(COUNT);
    await expectSoundNow(backend);
    const outcomes = await backend.commit(deletes);
    expect(outcomes.filter(({ status }) => status === 'deleted')).toHaveLength(left);
    await expectSoundNow(backend);
  });
});
