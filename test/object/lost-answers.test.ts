import { expect, test } from 'vitest';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import type {
  PutCondition,
  PutResult,
  StoredObject,
} from '../../src/backends/storage/object-store.ts';
import type { AbortOptions } from '../../src/core/abort.ts';
import { VarveError } from '../../src/core/errors.ts';
import { append, commit, contentOf, entry, put } from '../conformance/builders.ts';

type Put = () => Promise<PutResult>;

/** A store whose answers to some requests about manifests are replaced. */
class UnreliableStore extends MemoryObjectStore {
  /**
   * What happens to each of the next writes of a manifest. Later ones are not changed.
   */
  readonly puts: ((put: Put) => Promise<PutResult>)[] = [];
  readonly gets: (() => void)[] = [];

  override async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: AbortOptions,
  ): Promise<PutResult> {
    const send = () => super.put(key, body, condition, options);
    const fate = key.startsWith('manifests/') ? this.puts.shift() : undefined;
    return fate === undefined ? send() : fate(send);
  }

  override async get(key: string, options?: AbortOptions): Promise<StoredObject | undefined> {
    if (key.startsWith('manifests/')) this.gets.shift()?.();
    return super.get(key, options);
  }
}

const LOST: PutResult = { outcome: 'unknown', error: new Error('the connection was reset') };

/** Applied, but the answer is lost. */
const answerLost = async (send: Put) => {
  await send();
  return LOST;
};

/** Never arrives. */
const requestLost = async () => LOST;

async function bodiesOf(backend: ObjectBackend, id: string): Promise<string[] | undefined> {
  return (await contentOf(backend, id))?.map(({ body }) => body);
}

async function begun(options = {}) {
  const store = new UnreliableStore();
  const backend = new ObjectBackend(store, options);
  const other = new ObjectBackend(store);
  await commit(backend, put('a', [entry('first')]));
  return { store, backend, other };
}

test('a write whose answer is lost happens once', async () => {
  const { store, backend } = await begun();
  store.puts.push(answerLost);
  expect((await commit(backend, append('a', [entry('second')]))).status).toBe('appended');
  expect(await bodiesOf(backend, 'a')).toEqual(['first', 'second']);
});

test('a write whose answer is lost happens once, also if others have written since', async () => {
  const { store, backend, other } = await begun();
  store.puts.push(async (send) => {
    await send();
    for (const body of ['third', 'fourth']) await commit(other, append('a', [entry(body)]));
    return LOST;
  });
  expect((await commit(backend, append('a', [entry('second')]))).status).toBe('appended');
  expect(await bodiesOf(backend, 'a')).toEqual(['first', 'second', 'third', 'fourth']);
});

test('a write that never arrived is repeated on what others wrote meanwhile', async () => {
  const { store, backend, other } = await begun();
  store.puts.push(async () => {
    await commit(other, append('a', [entry('of the other')]));
    return LOST;
  });
  expect((await commit(backend, append('a', [entry('second')]))).status).toBe('appended');
  expect(await bodiesOf(backend, 'a')).toEqual(['first', 'of the other', 'second']);
});

test('a write that arrives late, after it was repeated, happens once', async () => {
  const { store, backend } = await begun();
  let late: Put = async () => LOST;
  store.puts.push(async (send) => {
    late = send;
    return LOST;
  });
  await commit(backend, append('a', [entry('second')]));
  expect(await late()).toMatchObject({ outcome: 'refused' });
  expect(await bodiesOf(backend, 'a')).toEqual(['first', 'second']);
});

test('a write has an unknown outcome after too many writes by others', async () => {
  const { store, backend, other } = await begun();
  store.puts.push(async (send) => {
    await send();
    for (let at = 0; at < 10; at++) await commit(other, append('a', [entry(`later ${at}`)]));
    return LOST;
  });
  await expect(backend.commit([append('a', [entry('second')])])).rejects.toMatchObject({
    code: 'OUTCOME_UNKNOWN',
  });
  expect((await bodiesOf(backend, 'a'))?.filter((body) => body === 'second')).toEqual(['second']);
});

test.each([
  ['reading fails afterwards', 'get'],
  ['it is turned away when it is asked for again', 'put'],
] as const)('a write is of unknown outcome when its answer is lost and %s', async (_, then) => {
  const { store, backend } = await begun();
  const throttled = new VarveError('THROTTLED', 'slow down');
  const refuse = () => {
    throw throttled;
  };
  if (then === 'get') store.gets.push(refuse);
  store.puts.push(requestLost);
  if (then === 'put') store.puts.push(async () => refuse());
  await expect(backend.commit([append('a', [entry('second')])])).rejects.toMatchObject({
    code: 'OUTCOME_UNKNOWN',
  });
});
