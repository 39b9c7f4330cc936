import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Revision } from '../../src/backends/contract/manifests.ts';
import { Conversations } from '../../src/manifest/conversations/conversations.ts';
import { importJsonl } from '../../src/manifest/transfer/import.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { ModelStore } from '../conformance/model-store.ts';
import { times } from '../thorough.ts';
import { message, WRITERS, write } from './json-writers.ts';

const LONG = 'a message that is long enough to be a segment of its own, '.repeat(8);

function open(inlineBelow = 40): { backend: ModelBackend; conversations: Conversations } {
  const backend = new ModelBackend(undefined, { inlineBelow });
  return { backend, conversations: new Conversations(backend) };
}

const turn = (content: unknown) => ({ role: 'user', content });

describe('a whole history put again with other fields', () => {
  const put = (conversations: Conversations, value: object) =>
    conversations.put(value, { ifExists: 'append' });
  const first = { id: 'c', messages: [turn('a')], response: 'first' };
  const second = { ...first, response: 'second' };

  test('renews the fields, once', async () => {
    const { conversations } = open();
    expect(await put(conversations, first)).toMatchObject({ status: 'created' });
    expect(await put(conversations, second)).toMatchObject({ status: 'appended' });
    expect(await conversations.get('c')).toEqual(second);
    expect(await conversations.get('c', { revision: 1 })).toEqual(first);
    for (const known of [first, second])
      expect(await put(conversations, known)).toMatchObject({ status: 'unchanged' });
    await conversations.append('c', [turn('b')]);
    expect(await conversations.get('c')).toEqual({ ...second, messages: [turn('a'), turn('b')] });
    expect(await put(conversations, second)).toMatchObject({ status: 'unchanged' });
  });

  test('works on a history without messages', async () => {
    const { conversations } = open();
    await put(conversations, { id: 'c', messages: [], n: 1 });
    await put(conversations, { id: 'c', messages: [], n: 2 });
    await conversations.append('c', [turn('b')]);
    expect(await conversations.get('c')).toEqual({ id: 'c', messages: [turn('b')], n: 2 });
  });

  test('is a conflict when it is shorter: to take it would hide messages', async () => {
    const { conversations } = open();
    await put(conversations, { ...first, messages: [turn('a'), turn('b')] });
    await expect(put(conversations, second)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await put(conversations, first)).toMatchObject({ status: 'unchanged' });
  });

  test('comes out of an import as its last line, and a second import changes nothing', async () => {
    const { backend, conversations } = open();
    const lines = [
      first,
      second,
      { ...second, messages: [turn('a'), turn('b')], response: 'third' },
    ];
    const file = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    expect(await importJsonl(backend, file, { ifExists: 'append' })).toMatchObject({
      created: 1,
      appended: 2,
    });
    expect(await importJsonl(backend, file, { ifExists: 'append' })).toMatchObject({
      unchanged: 3,
      appended: 0,
    });
    expect(await conversations.get('c')).toEqual(lines[2]);
    expect(await conversations.get('c', { revision: 2 })).toEqual(second);
  });
});

describe('put and get', () => {
  test('a conversation comes back deep-equal, keys in their order', async () => {
    const { conversations } = open();
    const value = {
      z: 1,
      id: 'x',
      messages: [turn(LONG), turn('\ud800 lone'), turn(null)],
      a: { __proto__: null, n: [1.5, -0.25, 1e300] },
      '': true,
    };
    expect(await conversations.put(value)).toMatchObject({
      id: 'x',
      status: 'created',
      newSegments: 1,
    });
    const stored = await conversations.get('x');
    expect(stored).toEqual(value);
    expect(JSON.stringify(stored)).toBe(JSON.stringify(value));
    expect((await conversations.getBytes('x'))?.toString()).toBe(`${JSON.stringify(value)}\n`);
  });

  test('a JSON text keeps every digit that was written, on one line', async () => {
    const { conversations } = open();
    const text =
      '\ufeff{\r\n  "id": "t",\n  "n": 12345678901234567890,\n  "messages": [ {"f": 1.0} ]\n}\n';
    await conversations.put(Buffer.from(text));
    await conversations.append('t', Buffer.from('[\n{"f":2.0},{"n":1E400}\n]\n'));
    expect(String(await conversations.getBytes('t'))).toBe(
      '{    "id": "t",   "n": 12345678901234567890,   "messages": [ {"f": 1.0}, ' +
        '{"f":2.0},{"n":1E400} ] }\n',
    );
    for (const wrong of ['', '7', '[]', '{', '{"id":"t"} {"id":"u"}']) {
      await expect(conversations.put(Buffer.from(wrong))).rejects.toMatchObject({
        code: 'MALFORMED_INPUT',
      });
    }
    for (const wrong of ['', '7', '{}', '[', '[], "x": 1']) {
      await expect(conversations.append('t', Buffer.from(wrong))).rejects.toMatchObject({
        code: 'MALFORMED_INPUT',
      });
    }
    expect(await conversations.append('t', Buffer.from('[]'))).toMatchObject({
      status: 'unchanged',
    });
  });

  test('token ids come back as the Uint32Array or array they were, and print as JSON arrays', async () => {
    const { conversations } = open();
    const value = {
      id: 't',
      tokenizer: 'o200k',
      tokens: Uint32Array.from({ length: 200 }, (_, index) => index * 21_474_836),
      messages: [
        {
          content: [
            { tokens: Uint32Array.of(1, 2, 4_294_967_295) },
            { tokens: new Uint32Array() },
            { tokens: [5, 6] },
            { tokens: [] },
          ],
        },
        { content: [{ tokens: Array.from({ length: 300 }, (_, index) => index) }] },
      ],
      other: Uint32Array.of(7),
    };
    await conversations.put(value);
    const stored = (await conversations.get('t')) as typeof value;
    expect(stored).toStrictEqual(value);
    expect(stored.tokens).toBeInstanceOf(Uint32Array);
    expect(JSON.parse(String(await conversations.getBytes('t')))).toEqual(
      JSON.parse(
        JSON.stringify(value, (_, item) => (item instanceof Uint32Array ? [...item] : item)),
      ),
    );
  });

  test('millions of token ids take little time and memory', async () => {
    const { conversations } = open();
    const tokens = new Uint32Array(times(1_000_000, 10_000_000)).map(
      (_, index) => (index * 2654435761) % 200_000,
    );
    await conversations.put({ id: 'big', tokens });
    const stored = (await conversations.get('big')) as { tokens: Uint32Array };
    expect(Buffer.from(stored.tokens.buffer).equals(Buffer.from(tokens.buffer))).toBe(true);
  });

  test('the same conversation again is unchanged, another one is up to ifExists', async () => {
    const { conversations } = open();
    const first = await conversations.put({ id: 'x', messages: [turn('one')] });
    expect(await conversations.put({ id: 'x', messages: [turn('one')] })).toMatchObject({
      status: 'unchanged',
      revision: first.revision,
    });
    await expect(conversations.put({ id: 'x', messages: [turn('two')] })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(
      await conversations.put({ id: 'x', messages: [turn('two')] }, { ifExists: 'skip' }),
    ).toMatchObject({
      status: 'skipped',
    });
    expect(await conversations.get('x')).toEqual({ id: 'x', messages: [turn('one')] });
    const other = await conversations.put(
      { id: 'x', messages: [turn('two')] },
      { ifExists: 'replace', ifRevision: first.revision },
    );
    expect(other.status).toBe('replaced');
    await expect(
      conversations.put(
        { id: 'x', messages: [] },
        { ifExists: 'replace', ifRevision: first.revision },
      ),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('what get returned can be put again, however it was imported', async () => {
    const { backend, conversations } = open();
    for (const writer of WRITERS) {
      const id = writer.name;
      await importJsonl(backend, [
        Buffer.from(write({ id, messages: [turn(`${LONG}é</>`), turn(1)] }, writer)),
      ]);
      const stored = (await conversations.get(id)) as object;
      expect(await conversations.put(stored)).toMatchObject({ id, status: 'unchanged' });
    }
  });

  test('without an id it gets one from its content', async () => {
    const { conversations } = open();
    const { id } = await conversations.put({ messages: [] });
    expect(id).toMatch(/^line-[0-9a-f]{32}$/);
    expect(await conversations.put({ messages: [] })).toMatchObject({ id, status: 'unchanged' });
    expect((await conversations.put({ messages: [] }, { id: 'given' })).id).toBe('given');
    expect(await conversations.get('given')).toEqual({ messages: [] });
  });

  test('an id given may differ from the one inside, which stays', async () => {
    const { conversations } = open();
    await conversations.put({ id: 'inside' }, { id: 'outside' });
    expect(await conversations.get('outside')).toEqual({ id: 'inside' });
    expect(await conversations.get('inside')).toBeUndefined();
  });

  test('any well-formed id up to 512 bytes will do', async () => {
    const { conversations } = open();
    const ids = [
      '../../etc/passwd',
      'a\0b',
      '😀',
      'A',
      'a',
      'é',
      'e\u0301',
      'x'.repeat(512),
      '\u2028"\\/',
    ];
    for (const id of ids) await conversations.put({ id, own: id });
    for (const id of ids) expect(await conversations.get(id)).toEqual({ id, own: id });
    for (const id of ['', 'x'.repeat(513), 'é'.repeat(257), '\ud800']) {
      await expect(conversations.put({ id })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(conversations.get(id)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  test('refuses what JSON would alter silently', async () => {
    const { conversations } = open();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1n,
      new Map(),
      new Set(),
      new Uint8Array(2),
      Buffer.from('x'),
      new Float32Array(1),
      cycle,
    ]) {
      await expect(conversations.put({ id: 'x', value })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
    await expect(conversations.put([] as object)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('nesting beyond the stack is refused by put, and no problem for an import', async () => {
    const { backend, conversations } = open();
    const json = `{"id":"deep","a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    await expect(conversations.put(JSON.parse(json))).rejects.toMatchObject({ code: 'TOO_LARGE' });
    await importJsonl(backend, [Buffer.from(json)]);
    expect((await conversations.getBytes('deep'))?.toString()).toBe(json);
    expect(await conversations.get('deep')).toBeDefined();
  });

  test('putMany gives a receipt or failure for each, in order', async () => {
    const { conversations } = open();
    await conversations.put({ id: 'b', v: 1 });
    const results = [];
    for await (const result of conversations.putMany([
      { id: 'a' },
      { id: 'b', v: 2 },
      { id: '' },
      { id: 'c', bad: Number.NaN },
      { id: 'd' },
    ])) {
      results.push([
        result.id,
        result.status,
        result.status === 'failed' ? result.error.code : undefined,
      ]);
    }
    expect(results).toEqual([
      ['a', 'created', undefined],
      ['b', 'failed', 'ALREADY_EXISTS'],
      [undefined, 'failed', 'INVALID_ARGUMENT'],
      [undefined, 'failed', 'INVALID_ARGUMENT'],
      ['d', 'created', undefined],
    ]);
  });
});

describe('append', () => {
  test('adds messages and keeps every revision readable', async () => {
    const { conversations } = open();
    await conversations.put({ id: 'x', messages: [], after: 1 });
    await conversations.append('x', [turn('one')]);
    await conversations.append('x', [turn(LONG), turn('three')]);
    const all = [turn('one'), turn(LONG), turn('three')];
    expect(await conversations.get('x')).toEqual({ id: 'x', messages: all, after: 1 });
    expect(await conversations.get('x', { revision: 1 })).toEqual({
      id: 'x',
      messages: [],
      after: 1,
    });
    expect(await conversations.get('x', { revision: 2 })).toEqual({
      id: 'x',
      messages: all.slice(0, 1),
      after: 1,
    });
    await expect(conversations.get('x', { revision: 4 })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await conversations.stat('x')).toMatchObject({ messages: 3, revisions: 3 });
  });

  test('any messages in any number of steps give what one put gives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(message, { maxLength: 3 }), { maxLength: 5 }),
        async (steps) => {
          const { conversations } = open(20);
          await conversations.put({ id: 'x', messages: [], end: true });
          for (const step of steps) await conversations.append('x', step);
          expect((await conversations.getBytes('x'))?.toString()).toBe(
            `${JSON.stringify({ id: 'x', messages: steps.flat(), end: true })}\n`,
          );
        },
      ),
      { numRuns: times(20, 100) },
    );
  });

  test('equal messages in a row count, a retry by name or revision does not', async () => {
    const { conversations } = open();
    const { revision } = await conversations.put({ id: 'x', messages: [] });
    await conversations.append('x', [turn('again')]);
    await conversations.append('x', [turn('again')]);
    expect(await conversations.stat('x')).toMatchObject({ messages: 2 });
    const named = await conversations.append('x', [turn('once')], { idempotencyKey: 'k' });
    expect(named.status).toBe('appended');
    expect(await conversations.append('x', [turn('once')], { idempotencyKey: 'k' })).toMatchObject({
      status: 'unchanged',
    });
    await expect(
      conversations.append('x', [turn('late')], { ifRevision: revision }),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(
      await conversations.append('x', [turn('once')], {
        ifRevision: revision,
        idempotencyKey: 'k',
      }),
    ).toMatchObject({ status: 'unchanged' });
    expect(await conversations.stat('x')).toMatchObject({ messages: 3 });
  });

  test('by many at once loses nothing', async () => {
    const { conversations } = open();
    await conversations.put({ id: 'x', messages: [] });
    await Promise.all(
      Array.from({ length: 40 }, (_, index) => conversations.append('x', [turn(index)])),
    );
    const { messages } = (await conversations.get('x')) as { messages: { content: number }[] };
    expect(messages.map(({ content }) => content).sort((a, b) => a - b)).toEqual([
      ...Array(40).keys(),
    ]);
  });

  test('needs a conversation with an array of messages', async () => {
    const { conversations } = open();
    await conversations.put({ id: 'tokens', tokens: [1, 2] });
    await conversations.put({ id: 'sharegpt', conversations: [{ from: 'human', value: 'x' }] });
    await expect(conversations.append('none', [turn('x')])).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(conversations.append('tokens', [turn('x')])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(
      conversations.append('tokens', [], { idempotencyKey: 'k'.repeat(65) }),
    ).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await conversations.put({ id: 'typed', messages: Uint32Array.of(1) });
    await expect(conversations.append('typed', [1])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await conversations.append('sharegpt', [{ from: 'gpt', value: 'y' }]);
    expect(await conversations.get('sharegpt')).toEqual({
      id: 'sharegpt',
      conversations: [
        { from: 'human', value: 'x' },
        { from: 'gpt', value: 'y' },
      ],
    });
  });
});

describe('ifExists append', () => {
  const history = (count: number, more: object = {}) => ({
    id: 'x',
    messages: Array.from({ length: count }, (_, index) => turn(`${index} ${LONG}`)),
    ...more,
  });

  test('takes whole histories and stores what is new', async () => {
    const { conversations } = open();
    const statuses = [];
    for (const count of [1, 3, 3, 2, 0, 4])
      statuses.push((await conversations.put(history(count), { ifExists: 'append' })).status);
    expect(statuses).toEqual([
      'created',
      'appended',
      'unchanged',
      'unchanged',
      'unchanged',
      'appended',
    ]);
    expect(await conversations.get('x')).toEqual(history(4));
    expect(await conversations.get('x', { revision: 2 })).toEqual(history(3));
    const stat = await conversations.stat('x');
    expect(stat).toMatchObject({ messages: 4, revisions: 3, segments: 4 });
    expect(stat?.inlineBytes).toBeLessThan(400);
  });

  test('renews the fields around the messages', async () => {
    const { conversations } = open();
    await conversations.put(history(1, { usage: 1, model: 'a' }), { ifExists: 'append' });
    await conversations.put(history(2, { usage: 2, model: 'b', note: LONG }), {
      ifExists: 'append',
    });
    await conversations.put(history(3, { usage: 2, model: 'b', note: LONG }), {
      ifExists: 'append',
    });
    expect(await conversations.get('x')).toEqual(history(3, { usage: 2, model: 'b', note: LONG }));
    expect(await conversations.get('x', { revision: 1 })).toEqual(
      history(1, { usage: 1, model: 'a' }),
    );
    expect(await conversations.stat('x')).toMatchObject({ model: 'b', segments: 4 });
  });

  test('refuses a history that differs, naming the message', async () => {
    const { conversations } = open();
    await conversations.put(history(3));
    const other = history(4);
    other.messages[1] = turn('changed');
    await expect(conversations.put(other, { ifExists: 'append' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('message 1 '),
    });
    await expect(
      conversations.put({ id: 'x', tokens: [1] }, { ifExists: 'append' }),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await expect(
      conversations.put(history(4), { ifExists: 'append', ifRevision: 'nonsense' as Revision }),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await conversations.get('x')).toEqual(history(3));
  });

  test('any log of growing histories, by any writers, in any batches, reads back revision by revision', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 6 }),
        fc.array(
          fc.record({ count: fc.nat(6), writer: fc.constantFrom(...WRITERS), usage: fc.nat(1) }),
          {
            minLength: 1,
            maxLength: 6,
          },
        ),
        fc.boolean(),
        async (messages, steps, atOnce) => {
          const { backend, conversations } = open(20);
          const lines = steps.map(({ count, writer, usage }) =>
            write({ usage, id: 'x', messages: messages.slice(0, count), end: LONG }, writer),
          );
          const log = Buffer.from(lines.join('\n'));
          const batches = atOnce ? [log] : lines.map((line) => Buffer.from(line));
          for (const batch of batches)
            await importJsonl(backend, [batch], { ifExists: 'append', onError: 'skip' });
          // Every line that is longer than all before it is a revision, and one as long with other
          // fields; a shorter one with fields that no state had is refused.
          const known: { size: number; usage: number }[] = [];
          let refused = 0;
          const expected = lines.filter((_, index) => {
            const { count, usage } = steps[index] as (typeof steps)[number];
            const state = { size: Math.min(count, messages.length), usage };
            const newest = known.at(-1);
            const isKnown = known.some(
              ({ size, usage }) => state.size <= size && usage === state.usage,
            );
            const isRefused = newest !== undefined && !isKnown && state.size < newest.size;
            if (isRefused) refused++;
            if (isKnown || isRefused) return false;
            known.push(state);
            return true;
          });
          expect(await conversations.stat('x')).toMatchObject({ revisions: expected.length });
          for (const [index, line] of expected.entries()) {
            expect(await conversations.get('x', { revision: index + 1 })).toEqual(JSON.parse(line));
            expect(
              (await conversations.getBytes('x', { revision: index + 1 }))?.toString().trimEnd(),
            ).toBe(line);
          }
          const again = await importJsonl(backend, [log], { ifExists: 'append', onError: 'skip' });
          // What was refused may be covered by what came later.
          expect(again).toMatchObject({ created: 0, appended: 0 });
          expect(again.failed).toBeLessThanOrEqual(refused);
        },
      ),
      { numRuns: times(12, 80) },
    );
  });

  test('racing writers of growing histories all get through', async () => {
    const { conversations } = open();
    await Promise.all(
      [1, 5, 2, 4, 3].map((count) => conversations.put(history(count), { ifExists: 'append' })),
    );
    expect(await conversations.get('x')).toEqual(history(5));
  });
});

describe('delete, list and stat', () => {
  test('delete says whether there was one', async () => {
    const { conversations } = open();
    const { revision } = await conversations.put({ id: 'x' });
    await conversations.put({ id: 'x', v: 2 }, { ifExists: 'replace' });
    await expect(conversations.delete('x', { ifRevision: revision })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await conversations.delete('x')).toBe(true);
    expect(await conversations.delete('x')).toBe(false);
    expect(await conversations.get('x')).toBeUndefined();
    expect(await conversations.stat('x')).toBeUndefined();
    await conversations.put({ id: 'y' });
    expect(await conversations.deleteMany(['x', 'y', 'z'])).toEqual(['y']);
  });

  test('list filters by glob and stops at the limit', async () => {
    const { conversations } = open();
    for (const id of ['a/1', 'a/b/2', '.hidden', 'c[1]']) await conversations.put({ id });
    const ids = async (id?: string, limit?: number) => {
      const found = [];
      for await (const head of conversations.list({
        ...(id !== undefined && { id }),
        ...(limit !== undefined && { limit }),
      }))
        found.push(head.id);
      return found;
    };
    expect(await ids()).toEqual(['a/1', 'a/b/2', '.hidden', 'c[1]']);
    expect(await ids('a/**')).toEqual(['a/1', 'a/b/2']);
    expect(await ids('*')).toContain('.hidden');
    expect(await ids('c\\[1\\]')).toEqual(['c[1]']);
    expect(await ids('**', 2)).toHaveLength(2);
    expect(await ids('**', 0)).toHaveLength(0);
  });

  test('stat counts segments once and reports what is shared', async () => {
    const { conversations } = open();
    const shared = `shared ${LONG}`;
    await conversations.put({ id: 'a', messages: [turn(shared), turn(shared), turn(LONG)] });
    expect(await conversations.stat('a')).toMatchObject({
      messages: 3,
      segments: 2,
      segmentBytes: shared.length + LONG.length,
      sharedBytes: 0,
    });
    await conversations.put({ id: 'b', messages: [turn(shared)] });
    expect(await conversations.stat('a')).toMatchObject({ sharedBytes: shared.length });
    expect(await conversations.stat('b')).toMatchObject({
      sharedBytes: shared.length,
      segments: 1,
    });
  });

  test('a reader starts again when what it reads is replaced, and calls lasting absence corruption', async () => {
    const store = new ModelStore();
    const backend = new ModelBackend(store, { inlineBelow: 40 });
    const conversations = new Conversations(backend);
    await conversations.put({ id: 'x', messages: [turn(LONG)] });
    const fetch = backend.fetch.bind(backend);
    backend.fetch = async (...call) => {
      backend.fetch = fetch;
      await conversations.put(
        { id: 'x', messages: [turn(`new ${LONG}`)] },
        { ifExists: 'replace' },
      );
      await backend.collect({ graceMs: 0 });
      return fetch(...call);
    };
    expect(await conversations.get('x')).toEqual({ id: 'x', messages: [turn(`new ${LONG}`)] });
    backend.fetch = async (locators) =>
      fetch(locators.map(() => 'gone' as (typeof locators)[number]));
    await expect(new Conversations(backend).get('x')).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});
