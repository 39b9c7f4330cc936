import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import {
  MANIFEST_KINDS,
  type ManifestWrite,
  type NewEntry,
  type NewSegment,
} from '../../src/backends/contract/manifests.ts';
import { addressOf } from '../../src/core/address.ts';
import {
  append,
  codeOf,
  commit,
  commitFails,
  contentOf,
  conversation,
  entry,
  headOf,
  hold,
  idsOf,
  put,
  remove,
  segment,
  stream,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

/** Ill-formed: it has no UTF-8 form, and what stands in for it is the same for all of them. */
const LONE = '\ud800';

const thrown = () => {
  throw new TypeError('a getter of the caller');
};

/** An object whose every use throws. */
const hostile: never = new Proxy(Object.create(null), {
  get: thrown,
  has: thrown,
  ownKeys: thrown,
  getPrototypeOf: thrown,
  getOwnPropertyDescriptor: thrown,
}) as never;

const revoked: never = (() => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as never;
})();

/** A value with properties of other types than its own. */
function altered<Write extends object>(write: Write, change: Record<string, unknown>): Write {
  return { ...write, ...change } as Write;
}

/** As JavaScript hands it over: a property that throws when it is read. */
function throwing<Write extends object>(write: Write, name: string): Write {
  return Object.defineProperty({ ...write }, name, { get: thrown, enumerable: true }) as Write;
}

const wrongStrings = [
  5,
  null,
  {},
  [],
  Symbol('s'),
  true,
  5n,
  LONE,
  `a${LONE}b`,
  '\udfff',
  'x'.repeat(100_000),
  hostile,
];
const wrongTimes = [
  '5',
  null,
  {},
  [],
  Symbol('s'),
  true,
  5n,
  Number.NaN,
  1e300,
  -1e300,
  new Date(5),
  hostile,
];
const wrongSizes = [...wrongTimes, -1, 1.5, 2 ** 53];
const wrongObjects = [5, 'ab', Symbol('s'), true, 5n, null, hostile, revoked];
const wrongLists = [
  ...wrongObjects,
  {},
  new Set(),
  [][Symbol.iterator](),
  new Map(),
  { length: 1, 0: entry('1') },
];

/** Every property of every write, with values that are not of its type. */
function malformedWrites(): [string, ManifestWrite][] {
  const writes: [string, ManifestWrite][] = [];
  const add = (name: string, values: readonly unknown[], make: (value: never) => ManifestWrite) => {
    for (const [index, value] of values.entries())
      writes.push([`${name}, ${index}`, make(value as never)]);
  };
  add('a write', [...wrongObjects, {}, [], undefined], (value) => value);
  add('its operation', ['adopt', 'PUT', ...wrongStrings], (operation) =>
    altered(put('m', []), { operation }),
  );
  for (const [name, write] of [
    ['put', put('m', [entry('1', 'a')])],
    ['append', append('x', [entry('1', 'a')])],
    ['delete', remove('x')],
    ['hold', hold('x')],
  ] as [string, ManifestWrite][]) {
    add(`${name}: its key`, [...wrongObjects, {}, [], undefined], (key) => altered(write, { key }));
    add(`${name}: its kind`, ['upload', 'x', undefined, ...wrongStrings], (kind) =>
      altered(write, { key: { kind, id: 'm' } }),
    );
    add(`${name}: its id`, ['', undefined, ...wrongStrings], (id) =>
      altered(write, { key: { kind: 'conversation', id } }),
    );
    add(`${name}: ifRevision`, [5, null, {}, Symbol('s'), hostile], (ifRevision) =>
      altered(write, { ifRevision }),
    );
    for (const property of ['operation', 'key', 'ifRevision'])
      add(`${name}: a throwing ${property}`, [0], () => throwing(write, property));
  }
  add('put: ifExists', [undefined, 'append', ...wrongStrings], (ifExists) =>
    altered(put('m', []), { ifExists }),
  );
  add('put: fields', [...wrongObjects, undefined], (fields) => altered(put('m', []), { fields }));
  add('append: fields', wrongObjects, (fields) => altered(append('x', [entry('1')]), { fields }));
  add('append: its size among the fields', [5], (logicalBytes) =>
    altered(append('x', [entry('1')]), { fields: { logicalBytes } }),
  );
  for (const name of ['application', 'model']) {
    add(`put: ${name}`, wrongStrings, (value) => put('m', [], { fields: { [name]: value } }));
    add(`append: ${name}`, wrongStrings, (value) =>
      append('x', [entry('1')], { fields: { [name]: value } }),
    );
  }
  for (const name of ['createdAt', 'expiresAt']) {
    add(`put: ${name}`, wrongTimes, (value) => put('m', [], { fields: { [name]: value } }));
    add(`append: ${name}`, wrongTimes, (value) =>
      append('x', [entry('1')], { fields: { [name]: value } }),
    );
  }
  add('put: a field that there is not', [1], (value) =>
    put('m', [], { fields: { owner: value } as never }),
  );
  add('put: a throwing field', [0], () =>
    altered(put('m', []), { fields: throwing({ logicalBytes: 1 }, 'model') }),
  );
  add('put: logicalBytes', [undefined, ...wrongSizes], (logicalBytes) =>
    put('m', [], { fields: { logicalBytes } }),
  );
  add('append: logicalBytes', [undefined, ...wrongSizes], (logicalBytes) =>
    altered(append('x', [entry('1')]), { logicalBytes }),
  );
  add('append: idempotencyKey', ['', ...wrongStrings], (idempotencyKey) =>
    append('x', [entry('1')], { idempotencyKey }),
  );
  add('hold: held', [undefined, null, 0, 1, 'true', {}, Symbol('s'), hostile], (held) =>
    altered(hold('x'), { held }),
  );
  add('hold: reason', wrongStrings, (reason) => altered(hold('x'), { reason }));
  for (const [name, make] of [
    ['put', (entries: NewEntry[]) => put('m', entries)],
    ['append', (entries: NewEntry[]) => append('x', entries)],
  ] as const) {
    add(`${name}: entries`, [undefined, ...wrongLists], (entries) => make(entries));
    add(`${name}: throwing entries`, [0], () => throwing(make([]), 'entries'));
    add(`${name}: entries that throw`, [0], () =>
      make(Object.defineProperty([], 0, { get: thrown }) as NewEntry[]),
    );
    for (const [what, entryOf] of malformedEntries())
      add(`${name}: ${what}`, [0], () => make([entry('0'), entryOf()]));
  }
  return writes;
}

function malformedEntries(): [string, () => NewEntry][] {
  const bad: [string, () => NewEntry][] = [];
  const add = (name: string, values: readonly unknown[], make: (value: never) => NewEntry) => {
    for (const [index, value] of values.entries())
      bad.push([`${name}, ${index}`, () => make(value as never)]);
  };
  const lying = Object.defineProperty(Buffer.from('four'), 'length', { value: 2 });
  const wrongBytes = [
    ...wrongLists,
    undefined,
    new ArrayBuffer(4),
    new Uint16Array(4),
    new Proxy(Buffer.from('b'), {}),
    lying,
  ];
  add('an entry', [undefined, ...wrongObjects], (value) => value);
  add('a body', wrongBytes, (body) => altered(entry('1'), { body }));
  add('a throwing body', [0], () => throwing(entry('1'), 'body'));
  add('segments', [undefined, ...wrongLists], (segments) => altered(entry('1'), { segments }));
  add('a segment', [undefined, ...wrongObjects], (value) => ({
    body: Buffer.from('1'),
    segments: [value],
  }));
  const address = addressOf(Buffer.from('never stored'));
  const given = {
    address,
    encoding: 'bytes',
    bytes: () => Buffer.from('never stored'),
  } as NewSegment;
  const one = (change: Record<string, unknown>) => entry('1', altered(given, change));
  add(
    'an address',
    [undefined, address.toUpperCase(), address.slice(1), `${address}\n`, ...wrongStrings],
    (value) => one({ address: value }),
  );
  add('an encoding', [undefined, 'text', ...wrongStrings], (encoding) => one({ encoding }));
  add('bytes', [undefined, 5, Buffer.from('never stored'), {}, hostile], (bytes) => one({ bytes }));
  add('what bytes() returns', wrongBytes, (value) => one({ bytes: () => value }));
  add('what bytes() promises', [0], () => one({ bytes: async () => Buffer.from('never stored') }));
  add('a bytes() that throws', [new Error('e'), 5, undefined, hostile, revoked], (error) =>
    one({
      bytes: () => {
        throw error;
      },
    }),
  );
  for (const name of ['address', 'encoding', 'bytes'])
    add(`a throwing ${name}`, [0], () => entry('1', throwing(given, name)));
  return bad;
}

export function describeMalformed(fixture: Fixture): void {
  describe('a malformed write', () => {
    test('fails alone, whatever is wrong with it', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('old', 'aaa')]));
      const before = await everything(backend);
      for (const [name, write] of malformedWrites()) {
        const [outcome] = await backend.commit([write]);
        expect([name, outcome && codeOf(outcome)]).toEqual([name, 'INVALID_ARGUMENT']);
      }
      expect(await everything(backend)).toEqual(before);
    });

    test('leaves the other writes of its commit alone', async () => {
      const { backend } = fixture;
      const bad = malformedWrites().map(([, write]) => write);
      await commit(backend, put('x', [entry('old', 'aaa')]));
      const outcomes = await backend.commit([put('first', []), ...bad, put('last', [])]);
      expect(outcomes.map(codeOf)).toEqual([
        'created',
        ...bad.map(() => 'INVALID_ARGUMENT'),
        'created',
      ]);
      expect(await contentOf(backend, 'x')).toEqual([{ body: 'old', segments: ['aaa'] }]);
    });

    test('leaves the commits of others at the same time alone', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('old', 'aaa')]));
      const bad = malformedWrites();
      const chosen = bad.filter(
        (_, index) => index % Math.ceil(bad.length / fixture.size(400)) === 0,
      );
      const calls = chosen.flatMap(([, write], index) => [
        backend.commit([write]),
        backend.commit([put(`good ${index}`, [entry(`body ${index}`)])]),
      ]);
      const codes = (await Promise.all(calls)).flat().map(codeOf);
      expect(codes).toEqual(chosen.flatMap(() => ['INVALID_ARGUMENT', 'created']));
    });

    test('of a stream is its outcome, and the stream is closed', async () => {
      const { backend } = fixture;
      const fields = () => ({ logicalBytes: 1 });
      const { entries: _, fields: __, ...write } = put('m', []);
      const publish = async (given: typeof write, entries: NewEntry[], fieldsOf = fields) => {
        const source = closing(entries);
        const outcome = await backend.publish(given, source.entries, fieldsOf);
        return [codeOf(outcome), source.isClosed()];
      };
      for (const [, entryOf] of malformedEntries()) {
        expect(await publish(write, [entry('0', 'abc'), entryOf(), entry('2')])).toEqual([
          'INVALID_ARGUMENT',
          true,
        ]);
      }
      const good = [entry('0', 'abc')];
      expect(await publish(altered(write, { key: null }), good)).toEqual([
        'INVALID_ARGUMENT',
        true,
      ]);
      expect(await publish(altered(write, { ifExists: 'append' }), good)).toEqual([
        'INVALID_ARGUMENT',
        true,
      ]);
      expect(await publish(write, good, () => thrown())).toEqual(['INVALID_ARGUMENT', true]);
      expect(await publish(write, good, () => ({ logicalBytes: -1 }))).toEqual([
        'INVALID_ARGUMENT',
        true,
      ]);
      expect(await publish(write, good, () => ({ logicalBytes: 1, model: 5 as never }))).toEqual([
        'INVALID_ARGUMENT',
        true,
      ]);
      for (const wrong of [undefined, null, 5, [], {}] as never[]) {
        expect(codeOf(await backend.publish(write, wrong, fields))).toBe('INVALID_ARGUMENT');
        expect(codeOf(await backend.publish(write, stream([]), wrong))).toBe('INVALID_ARGUMENT');
      }
      expect(await headOf(backend, 'm')).toBeUndefined();
    });

    test('is refused as a whole when it is not in an array', async () => {
      for (const wrong of [...wrongObjects, {}, new Set([put('m', [])]), undefined]) {
        await expect(fixture.backend.commit(wrong as never)).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
      }
    });

    test('is judged as it was handed over, whatever is altered meanwhile', async () => {
      const { backend } = fixture;
      const fields = { application: 'desk', logicalBytes: 5 };
      const entries = [entry('1', 'aaa')];
      const write = {
        ...put('m', entries),
        fields,
        key: { kind: 'conversation' as const, id: 'm' },
      };
      const committing = backend.commit([write]);
      entries.push(null as never);
      Object.assign(fields, { application: 5 });
      Object.assign(write.key, { id: LONE });
      Object.assign(write, { operation: 'delete', entries: null });
      expect((await committing).map(codeOf)).toEqual(['created']);
      expect(await contentOf(backend, 'm')).toEqual([{ body: '1', segments: ['aaa'] }]);
      expect(await headOf(backend, 'm')).toMatchObject({ application: 'desk', logicalBytes: 5 });
    });
  });

  describe('fields', () => {
    test('come back as they were given, at the bounds of what is taken', async () => {
      const { backend } = fixture;
      const all = [
        { application: '', model: '', createdAt: 0, expiresAt: 2 ** 53 - 1, logicalBytes: 0 },
        {
          application: 'x'.repeat(4096),
          model: '\0',
          createdAt: -1,
          expiresAt: 2 ** 53 - 1,
          logicalBytes: 2 ** 53 - 1,
        },
        { application: '\ufffd', model: '👩‍👩‍👧', createdAt: -(2 ** 53 - 1), logicalBytes: 1 },
      ];
      for (const [index, fields] of all.entries()) {
        await commit(backend, put(`c${index}`, [], { fields }));
        expect(await headOf(backend, `c${index}`)).toMatchObject(fields);
        const { application, model } = fields;
        expect(await idsOf(backend.list('conversation', { application, model }))).toEqual([
          `c${index}`,
        ]);
        expect((await commit(backend, put(`c${index}`, [], { fields }))).status).toBe('unchanged');
      }
    });

    test('that are times lose their fractions', async () => {
      const { backend } = fixture;
      await commit(backend, put('m', [], { fields: { createdAt: 5.75, expiresAt: 9e14 + 0.5 } }));
      expect(await headOf(backend, 'm')).toMatchObject({ createdAt: 5, expiresAt: 9e14 });
    });
  });

  describe('names that are not well-formed', () => {
    test('are not idempotency keys: different ones never stand for each other', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', []));
      for (const idempotencyKey of ['\ud800', '\ud801', 'k\udc00']) {
        await commitFails(
          backend,
          append('x', [entry(idempotencyKey)], { idempotencyKey }),
          'INVALID_ARGUMENT',
        );
      }
      await commit(backend, append('x', [entry('stands for them')], { idempotencyKey: '\ufffd' }));
      expect((await headOf(backend, 'x'))?.entryCount).toBe(1);
    });

    test('find nothing: not what is stored under the character that stands in for them', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('\ufffd', [], { fields: { application: '\ufffd', model: '\ufffd' } }),
      );
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(backend.read([conversation(LONE)])).rejects.toMatchObject(refused);
      await expect(backend.heads([conversation(LONE)])).rejects.toMatchObject(refused);
      for (const filter of [{ application: LONE }, { model: LONE }]) {
        await expect(idsOf(backend.list('conversation', filter))).rejects.toMatchObject(refused);
      }
      await commitFails(backend, remove(LONE), 'INVALID_ARGUMENT');
      expect(await headOf(backend, '\ufffd')).toBeDefined();
    });
  });

  describe('a malformed read', () => {
    test('is refused', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', 'aaa')]));
      const list = (kind: unknown, filter?: unknown) =>
        idsOf(backend.list(kind as never, filter as never));
      const refused = { code: 'INVALID_ARGUMENT' };
      for (const wrong of [...wrongLists, undefined] as never[]) {
        for (const method of ['read', 'heads', 'fetch', 'describe', 'addresses', 'find'] as const) {
          await expect(backend[method](wrong), method).rejects.toMatchObject(refused);
        }
      }
      for (const wrong of wrongObjects as never[]) {
        if (wrong !== 5 && wrong !== 'ab') {
          for (const method of ['fetch', 'describe', 'addresses'] as const) {
            await expect(backend[method]([wrong]), method).rejects.toMatchObject(refused);
          }
        }
        for (const method of ['read', 'heads', 'find'] as const) {
          await expect(backend[method]([wrong]), method).rejects.toMatchObject(refused);
        }
        await expect(list('conversation', wrong)).rejects.toMatchObject(refused);
        await expect(list(wrong)).rejects.toMatchObject(refused);
      }
      for (const name of ['application', 'model', 'since', 'until', 'held', 'order']) {
        for (const wrong of [null, {}, [], Symbol('s'), 5n, Number.NaN, LONE, hostile]) {
          await expect(list('conversation', { [name]: wrong }), name).rejects.toMatchObject(
            refused,
          );
        }
      }
      for (const locator of [
        1e300,
        Number.NaN,
        -1,
        0.5,
        'ab',
        '',
        '/',
        segment('aaa').address,
      ] as never[]) {
        for (const method of ['fetch', 'describe', 'addresses'] as const) {
          await expect(backend[method]([locator])).rejects.toMatchObject({ code: 'NOT_FOUND' });
        }
      }
    });
  });
}

/** A stream that records whether it came to an end. */
function closing(entries: readonly NewEntry[]): {
  entries: AsyncIterable<NewEntry>;
  isClosed: () => boolean;
} {
  let closed = false;
  const iterator = entries[Symbol.iterator]();
  const end = async () => {
    closed = true;
    return { done: true as const, value: undefined };
  };
  const next = async () => {
    const step = iterator.next();
    if (step.done) closed = true;
    return step;
  };
  return {
    entries: { [Symbol.asyncIterator]: () => ({ next, return: end }) },
    isClosed: () => closed,
  };
}

async function everything(backend: Backend): Promise<unknown> {
  const stored = [];
  for (const kind of MANIFEST_KINDS) {
    for await (const head of backend.list(kind)) stored.push(head);
  }
  const { segments, garbageSegments } = await backend.usage();
  return { stored, segments, garbageSegments };
}
