import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListFilter } from '../../src/backends/contract/manifests.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { hold, idsOf, put, remove } from '../conformance/builders.ts';
import { openStore, scratchFolder } from './support.ts';

/** More than a window of a walk has, so that lists by something rare gather candidates. */
const ROWS = 12_000;

interface Row {
  readonly id: string;
  readonly kind: 'conversation' | 'pin';
  readonly application: string;
  readonly model: string | undefined;
  readonly createdAt: number;
  readonly isHeld: boolean;
}

/** Most rows have one of few times, a few have names and holds that are rare. */
function row(number: number): Row {
  const random = (number * 2654435761) % 1000;
  return {
    id: `row ${number}`,
    kind: random < 300 ? 'pin' : 'conversation',
    application: random % 500 === 1 ? 'rare' : random > 990 ? 'seldom' : 'common',
    model: random % 3 === 0 ? undefined : random === 334 ? 'rare' : 'usual',
    createdAt: number > 3000 && number < 9000 ? 5000 : random,
    isHeld: random === 500,
  };
}

const rows = Array.from({ length: ROWS }, (_, number) => row(number)).filter(
  ({ id }) => !id.endsWith('7'),
);

async function filled(): Promise<LocalBackend> {
  const backend = await openStore(scratchFolder());
  const keyOf = ({ kind, id }: Pick<Row, 'kind' | 'id'>) => ({ kind, id });
  const all = Array.from({ length: ROWS }, (_, number) => row(number));
  await backend.commit(
    all.map((each) => {
      const { application, model, createdAt } = each;
      return put(keyOf(each), [], { fields: { application, createdAt, ...(model && { model }) } });
    }),
  );
  await backend.commit(all.filter(({ isHeld }) => isHeld).map((each) => hold(keyOf(each), true)));
  const gone = all.filter(({ id }) => id.endsWith('7'));
  await backend.commit(gone.filter(({ isHeld }) => isHeld).map((each) => hold(keyOf(each), false)));
  await backend.commit(gone.map((each) => remove(keyOf(each))));
  return backend;
}

function expected(kind: Row['kind'], filter: ListFilter): string[] {
  const { application, model, since = -1, until = Number.POSITIVE_INFINITY, held, order } = filter;
  const found = rows.filter(
    (each) =>
      each.kind === kind &&
      (application === undefined || each.application === application) &&
      (model === undefined || each.model === model) &&
      each.createdAt >= since &&
      each.createdAt < until &&
      (held === undefined || each.isHeld === held),
  );
  if (order === 'oldest' || order === 'newest') found.sort((a, b) => a.createdAt - b.createdAt);
  if (order === 'newest') found.reverse();
  return found.map(({ id }) => id);
}

const names = ['rare', 'seldom', 'common', 'usual', 'none'];
const filters = fc.record(
  {
    application: fc.constantFrom(...names),
    model: fc.constantFrom(...names),
    since: fc.nat(1100),
    until: fc.constantFrom(0, 3, 400, 5000, 5001),
    held: fc.boolean(),
    order: fc.constantFrom('archived' as const, 'oldest' as const, 'newest' as const),
  },
  { requiredKeys: [] },
);

describe('a long list', () => {
  it('has what passes the filter, once, in its order', async () => {
    const backend = await filled();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('conversation', 'pin'), filters, async (kind, filter) => {
        expect(await idsOf(backend.list(kind, filter))).toEqual(expected(kind, filter));
      }),
      { numRuns: 60 },
    );
  });

  it('needs no format of its own: an older version keeps the zones that it does not know', async () => {
    const path = scratchFolder();
    const application = (id: string, name: string) =>
      put(id, [], { fields: { application: name, createdAt: 1 } });
    const writer = await LocalBackend.open(path);
    await writer.commit([application('a', 'one'), application('b', 'two')]);
    await writer.close();
    // As an older version left it, and has it open.
    const old = openSqlite(join(path, 'varve.db'));
    old.exec('DROP TRIGGER zone_insert; DROP TRIGGER zone_update; DROP TABLE zone');
    const insert = old.prepare(
      "INSERT INTO manifest (kind, name, application, created, bytes) VALUES (0, 'c', 2, 1, 1)",
    );
    const update = old.prepare('UPDATE manifest SET application = 2, model = NULL WHERE id = 1');
    const list = async (backend: LocalBackend) =>
      idsOf(backend.list('conversation', { application: 'two' }));
    const reader = await openStore(path, { readOnly: true });
    expect(await list(reader)).toEqual(['b']);
    const backend = await openStore(path);
    const zones = old.prepare('SELECT name, count(*) FROM zone GROUP BY name ORDER BY name').raw();
    expect(zones.all()).toEqual([
      [1, 1],
      [2, 1],
    ]);
    old.exec('DELETE FROM zone');
    insert.run();
    expect(zones.all()).toEqual([[2, 1]]);
    old.exec('DELETE FROM zone');
    update.run();
    expect(zones.all()).toEqual([[2, 1]]);
    for (const each of [reader, backend]) expect(await list(each)).toEqual(['a', 'b', 'c']);
    old.close();
  });
});
