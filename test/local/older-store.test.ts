import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openSqlite } from '../../src/backends/local/sqlite-driver.ts';
import { commit, entry, expectFailed, headOf, hold, idsOf, put, remove } from '../conformance/builders.ts';
import { openStore, scratchFolder } from './support.ts';

/** A store as it was made before there were holds, reports and leases. */
async function olderStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await openStore(path);
  await commit(backend, put('a', [entry('1', 'text')]));
  await backend.close();
  const index = openSqlite(join(path, 'varve.db'));
  for (const table of ['hold', 'report', 'lease']) index.exec(`DROP TABLE ${table}`);
  index.close();
  return path;
}

it('reads a store that has no holds and reports, as one where there are none', async () => {
  const backend = await openStore(await olderStore(), { readOnly: true });
  expect((await headOf(backend, 'a'))?.hold).toBeUndefined();
  expect(await idsOf(backend.list('conversation', { held: true }))).toEqual([]);
  expect(await idsOf(backend.list('conversation', { held: false }))).toEqual(['a']);
  expect(await backend.reports.list()).toEqual([]);
});

it('gives an older store holds, reports and leases when they are first wanted, in every process', async () => {
  const path = await olderStore();
  const backend = await openStore(path);
  const other = await openStore(path);
  expect(await idsOf(other.list('conversation', { held: true }))).toEqual([]);
  expect(await commit(backend, hold('a', false))).toMatchObject({ status: 'unchanged' });
  expect(await commit(backend, hold('a', true, 'why'))).toMatchObject({ status: 'held' });
  expect(await idsOf(other.list('conversation', { held: true }))).toEqual(['a']);
  expectFailed((await other.commit([remove('a')]))[0], 'HELD');
  await backend.reports.add({ time: 1, body: 'first' });
  expect(await other.reports.list()).toEqual([{ time: 1, body: 'first' }]);
  expect(await backend.lease('gc', 60_000)).toBeDefined();
  expect(await other.lease('gc', 60_000)).toBeUndefined();
});
