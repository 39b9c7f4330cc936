import { monitorEventLoopDelay } from 'node:perf_hooks';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { finish, STEP_BYTES, type Steps } from '../../src/core/steps.ts';
import {
  ESCAPES,
  escapeText,
  escaping,
  forbiddenEscapes,
  STYLE_COUNT,
  unescapeText,
  unescaping,
} from '../../src/manifest/content/json-escapes.ts';
import { JsonScanner } from '../../src/manifest/content/json-scanner.ts';
import { Conversations } from '../../src/manifest/conversations/conversations.ts';
import { exportJsonl } from '../../src/manifest/transfer/export.ts';
import { importJsonl } from '../../src/manifest/transfer/import.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { leftOut, times } from '../thorough.ts';

/** Characters of every length and kind, so that some are cut wherever a step may end. */
const CHARACTERS = ['a', 'é', '\u2028', '😀', '"', '\\', '\n', '\u0001', '<', '/', '\x7f', '日'];

/** A text that is longer than two steps and the same wherever it is cut, but for `shift`. */
function longText(characters: readonly string[], shift: number): Buffer {
  const unit = Buffer.from(characters.join(''));
  const count = Math.ceil((2.2 * STEP_BYTES) / unit.length);
  return Buffer.concat([Buffer.alloc(shift, 'x'), ...new Array<Buffer>(count).fill(unit)]);
}

function stepsOf<Result>(steps: Steps<Result>): { result: Result; steps: number } {
  for (let count = 1; ; count++) {
    const { done, value } = steps.next();
    if (done) return { result: value, steps: count };
  }
}

/** How many turns other work got while a call ran. */
async function turnsOf(call: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await call();
  isOver = true;
  return turns;
}

/** Conversations of `bytes` each, one for each way to be long. */
function longConversations(bytes: number): Record<string, object> {
  const turn = (content: string) => ({ role: 'user', content });
  const words = (length: number) =>
    'many words of a text '.repeat(length / 21 + 1).slice(0, length);
  return {
    'many messages': {
      messages: Array.from({ length: bytes / 4000 }, (_, n) => turn(`${n} ${words(3900)}`)),
    },
    'many small messages': {
      messages: Array.from({ length: bytes / 40 }, (_, n) => turn(`small ${n}`)),
    },
    'one long string': { messages: [turn(words(bytes))] },
    'one long string with escapes': { messages: [turn(words(bytes).replaceAll(' ', '\n'))] },
    'long token arrays': {
      messages: [{ role: 'user', tokens: Array.from({ length: bytes / 6 }, (_, n) => 10000 + n) }],
    },
    'a long image': {
      messages: [
        turn(`data:image/png;base64,${Buffer.alloc(bytes * 0.75, words(999)).toString('base64')}`),
      ],
    },
    'many numbers': {
      messages: [],
      numbers: Array.from({ length: bytes / 7 }, (_, n) => 100000 + n),
    },
  };
}

/** As `toEqual`, which takes seconds for a million values. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function read(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

function open(): { backend: ModelBackend; conversations: Conversations } {
  const backend = new ModelBackend();
  return { backend, conversations: new Conversations(backend) };
}

describe('work in steps gives what the same work gives at once', () => {
  test('escapes, wherever a step ends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...CHARACTERS), { minLength: 3, maxLength: 12 }),
        fc.nat(STYLE_COUNT - 1),
        fc.nat(20),
        (characters, style, shift) => {
          const text = longText(characters, shift);
          const { result: pieces, steps } = stepsOf(escaping(text, style));
          expect(steps).toBeGreaterThan(2);
          const raw = Buffer.concat(pieces);
          expect(raw.equals(escapeText(text, style))).toBe(true);
          const back = stepsOf(unescaping(raw));
          expect(back.steps).toBeGreaterThan(4);
          const atOnce = unescapeText(raw);
          expect(back.result?.style).toBe(atOnce?.style);
          expect(back.result?.text.equals(atOnce?.text ?? text)).toBe(atOnce !== undefined);
        },
      ),
      { numRuns: times(4, 40) },
    );
  });

  test('a needless escape anywhere leaves no style, in steps as at once', () => {
    for (const at of [0, STEP_BYTES - 3, STEP_BYTES + 1, 2 * STEP_BYTES]) {
      const text = longText(['abc'], 0);
      const raw = Buffer.concat([text.subarray(0, at), Buffer.from('\\u0061'), text.subarray(at)]);
      expect(finish(unescaping(raw))).toBeUndefined();
    }
  });

  test('escapes that must not be added are found wherever they are', () => {
    for (const at of [0, STEP_BYTES - 1, STEP_BYTES, 2 * STEP_BYTES + 5]) {
      const text = longText(['abc'], 0);
      const raw = Buffer.concat([text.subarray(0, at), Buffer.from('\u2029<'), text.subarray(at)]);
      expect(forbiddenEscapes(raw)).toBe(ESCAPES.lineSeparators | ESCAPES.html | ESCAPES.ascii);
    }
  });

  test('faults are found at their offset, however far', () => {
    const scanner = new JsonScanner();
    const text = longText(['日本'], 1);
    const line = (end: Buffer) => Buffer.concat([Buffer.from('{"a":"'), text, end]);
    const at = text.length + 6;
    const reason = (end: Buffer) => () => scanner.scan(line(end), 8);
    expect(reason(Buffer.from('"}x'))).toThrow(`byte ${at + 2}: expected nothing after`);
    expect(reason(Buffer.from('\n"}'))).toThrow(`byte ${at}: a control character`);
    expect(reason(Buffer.from(''))).toThrow(`byte ${at}: the string does not end`);
    expect(reason(Buffer.from('\xff"}', 'latin1'))).toThrow(`byte ${at}: not valid UTF-8`);
    const cut = line(Buffer.from('"}'));
    cut[5 + 8 * STEP_BYTES > cut.length ? 10 : 5 + 8 * STEP_BYTES] = 0xff;
    expect(() => scanner.scan(cut, 8)).toThrow('not valid UTF-8');
  });
});

describe('a long conversation', () => {
  const BYTES = 3 * STEP_BYTES;
  const AT_LEAST = 3;

  test.each(Object.entries(longConversations(BYTES)))(
    'of %s comes back as it was, while other work gets its turns',
    async (_, value) => {
      const { backend, conversations } = open();
      const text = Buffer.from(JSON.stringify({ id: 'c', ...value }));
      const line = Buffer.concat([text, Buffer.from('\n')]);
      const turns = {
        put: await turnsOf(() => conversations.put({ id: 'p', ...value })),
        putText: await turnsOf(() => conversations.put(text, { id: 'c' })),
        import: await turnsOf(() => importJsonl(backend, line, { ifExists: 'skip' })),
        getBytes: await turnsOf(() => conversations.getBytes('c')),
        export: await turnsOf(() => read(exportJsonl(backend, { ids: ['c'] }))),
        get: await turnsOf(() => conversations.get('c')),
      };
      for (const [call, count] of Object.entries(turns))
        expect([call, count >= AT_LEAST]).toEqual([call, true]);
      expect((await conversations.getBytes('c'))?.equals(line)).toBe(true);
      expect((await read(exportJsonl(backend, { ids: ['c'] }))).equals(line)).toBe(true);
      expect(isSame(await conversations.get('p'), { id: 'p', ...value })).toBe(true);
    },
  );

  test.each(Object.entries(longConversations(BYTES)).slice(0, 6))(
    'of %s may be appended, while other work gets its turns',
    async (_, value) => {
      const { messages } = value as { messages: unknown[] };
      const { conversations } = open();
      await conversations.put({ id: 'c', messages: [{ role: 'user', content: 'first' }] });
      expect(await turnsOf(() => conversations.append('c', messages))).toBeGreaterThan(AT_LEAST);
      const text = Buffer.from(JSON.stringify(messages, null, 1));
      expect(await turnsOf(() => conversations.append('c', text))).toBeGreaterThan(AT_LEAST);
      const stored = await conversations.get('c');
      expect(isSame(stored?.messages?.slice(1), [...messages, ...messages])).toBe(true);
    },
  );

  test('several at once do not mix', async () => {
    const { conversations } = open();
    const values = Object.entries(longConversations(BYTES)).map(([id, value]) => ({
      id,
      ...value,
    }));
    await Promise.all(values.map((value) => conversations.put(value)));
    const stored = await Promise.all(values.map(({ id }) => conversations.get(id)));
    expect(isSame(stored, values)).toBe(true);
  });

  test('ends with its signal, between two turns', async () => {
    const { conversations } = open();
    const [value] = Object.values(longConversations(BYTES)) as [object];
    const abort = new AbortController();
    const put = conversations.put({ id: 'c', ...value }, { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(put).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await conversations.get('c')).toBeUndefined();
  });

  test('is the text that it was when it was put, whatever becomes of the memory', async () => {
    const { conversations } = open();
    const text = Buffer.from(JSON.stringify({ id: 'c', text: 'x'.repeat(BYTES) }));
    const expected = Buffer.concat([text, Buffer.from('\n')]);
    const putting = conversations.put(text);
    text.fill(0);
    await putting;
    expect((await conversations.getBytes('c'))?.equals(expected)).toBe(true);
  });
});

describe.skipIf(leftOut('how long a 40 MB conversation blocks the event loop'))('40 MB', () => {
  const LONGEST_MS = 500;

  test.each(Object.entries(longConversations(40_000_000)))(
    'of %s block nobody for long',
    async (_, value) => {
      const { backend, conversations } = open();
      const text = Buffer.from(JSON.stringify({ id: 'c', ...value }));
      const calls = {
        put: () => conversations.put(text),
        import: () => importJsonl(backend, text, { ifExists: 'skip' }),
        getBytes: () => conversations.getBytes('c'),
        export: () => read(exportJsonl(backend)),
      };
      for (const [name, call] of Object.entries(calls)) {
        const delay = monitorEventLoopDelay({ resolution: 5 });
        delay.enable();
        await call();
        delay.disable();
        expect([name, delay.max / 1e6 < LONGEST_MS]).toEqual([name, true]);
      }
    },
    120_000,
  );
});

test('messages to append are an array and nothing more', async () => {
  const { conversations } = open();
  await conversations.put({ id: 'c', messages: [] });
  for (const wrong of [
    '[1],"x":2',
    '[1],"messages":[2]',
    '[1],"conversations":[2]',
    '7,"conversations":[2]',
    '[1],"id":""',
    '[1]},{"messages":[2]',
    '[1]}',
    '[1] [2]',
  ]) {
    await expect(conversations.append('c', Buffer.from(wrong))).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
      message: expect.stringContaining('the messages to append'),
    });
  }
  await conversations.append('c', Buffer.from(' \n[ 1, 2\n]\t \n'));
  expect(String(await conversations.getBytes('c'))).toBe('{"id":"c","messages":[ 1, 2]}\n');
});
