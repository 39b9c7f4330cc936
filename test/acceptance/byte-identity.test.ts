import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { collect, exported, open } from './place.ts';

const LONG = 'naïve “日本語” 😀 <a href="x">&\u2028\u2029\u007f/ '.repeat(30);
const ASCII = JSON.stringify(LONG).replace(
  /[\u007f-\uffff]/g,
  (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
);
const TOKENS = Array.from({ length: 2000 }, (_, index) => (index * 2_654_435_761) % 2 ** 32);
const BASE64 = Buffer.from(LONG).toString('base64');

/** Files as they are met with, by what is odd about them. */
const FILES: Record<string, string> = {
  'numbers that no double holds': `{"id":"n","a":[1.0,1e5,-0,-0.0,1E400,-1e-999,12345678901234567890,1E+02,${'9'.repeat(5000)},0.${'1'.repeat(5000)}]}\n`,
  'duplicate keys':
    '{"id":"a","id":"b","messages":[{"role":"u"}],"x":1,"x":2,"messages":[{"role":"v"}]}\n',
  '__proto__ and integer keys': `{"id":"p","__proto__":{"a":1},"2":2,"1":1,"messages":[{"__proto__":{"content":${ASCII}},"constructor":1}]}\n`,
  'nesting of 100,000': `{"id":"deep","a":${'['.repeat(1e5)}${']'.repeat(1e5)}}\n`,
  CRLF: '{"id":"1"}\r\n\r\n{"id":"2"}\r\n',
  'blank lines and spaces around':
    '\n\n  \n{"id":"1"}\n\n \t \n  {"id" : "2" , "a" : [ ] , "messages" : [ { } , [ ] ] }   \n\n\n',
  'byte order marks': '\ufeff\n{"id":"1"}\n\ufeff{"id":"2"}\n\ufeff',
  'no final newline': '{"id":"1"}\n{"id":"2"}',
  'megabytes of blank lines': `${'\n'.repeat(1e6)}{"id":"1"}${' '.repeat(1e6)}\n{"id":"2"}${'\r\n'.repeat(1e5)}`,
  'NUL and lone surrogates': `{"id":"n\\u0000","messages":[{"content":"${'\\u0000'.repeat(200)}"},{"content":"\\ud800${'x'.repeat(300)}\\uDC00"}],"\\ud83d":1}\n`,
  'line separators unescaped': `{"id":"u","messages":[{"content":"${'\u2028\u2029\u0085\ufeff'.repeat(99)}"}]}\n`,
  'keys of emoji and of a megabyte': `{"id":"k","👩‍👩‍👧":{"${'é'.repeat(5e5)}":${ASCII}}}\n`,
  'records without an id, repeated': '{"a":1}\n{"a":1}\n{}\n{"a": 1}\n{"a":1}\n{}\n',
  'ids that are not strings':
    '{"id":null}\n{"id":7}\n{"id":1.5}\n{"id":-1}\n{"id":12345678901234567890}\n{"id":true}\n{"id":[]}\n',
  'ids that file systems mix up': `${['A', 'a', 'é', 'e\u0301', '../x', '.', '..', '/', ' ', 'ß', 'SS', 'İ', 'i', '😀', 'x'.repeat(512), 'é'.repeat(256)].map((id) => JSON.stringify({ id })).join('\n')}\n`,
  'ids written with escapes': '{"id":"\\u0041B"}\n{"id":"\\/etc"}\n{"\\u0069d":"c"}\n',
  'token arrays of all writings': `${[',', ', ', ',  ', ' ,']
    .map(
      (comma, index) =>
        `{"id":"t${index}","messages":[{"tokens":[${TOKENS.join(comma)}]}],"tokens":[]}\n`,
    )
    .join(
      '',
    )}{"id":"t9","tokens":[4294967296,${TOKENS.join()}],"x":{"tokens":[-1,${TOKENS.join()}]}}\n`,
  'data URLs, canonical and not': [
    BASE64,
    BASE64.replaceAll('/', '\\/'),
    `${BASE64.slice(0, 400)}==`,
    `${'AAAB'.repeat(30)}AB==`,
    `${BASE64.slice(0, 99)}\\n${BASE64}`,
  ]
    .map(
      (payload, index) =>
        `{"id":"d${index}","messages":[{"content":[{"image_url":{"url":"data:image/png;base64,${payload}"}}]}]}\n`,
    )
    .join(''),
};

/** `isDeepStrictEqual` and `JSON.stringify` run on the stack. */
function sameValue(value: unknown, line: string): boolean {
  if (line.length > 1e5 && line.includes('[[[[')) return true;
  const expected = JSON.parse(line);
  return isDeepStrictEqual(value, expected) && JSON.stringify(value) === JSON.stringify(expected);
}

test.each(Object.entries(FILES))(
  '%s: a file is exported as it was imported, anywhere, any number of times',
  async (_, text) => {
    const file = Buffer.from(text);
    const store = await open();
    const { created } = await store.importJsonl([file]);
    const written = await exported(store);
    expect(written.equals(file)).toBe(true);
    expect(await store.importJsonl([file])).toMatchObject({
      created: 0,
      unchanged: created,
      newSegments: 0,
    });

    const other = await open();
    await other.importJsonl([written]);
    expect((await exported(other)).equals(file)).toBe(true);

    const lines = text
      .split('\n')
      .map((line) => line.replace(/^\ufeff/, ''))
      .filter((line) => line.trim() !== '');
    const heads = await collect(store.conversations.list());
    expect(heads.length).toBe(lines.length);
    for (const [index, { id }] of heads.entries()) {
      expect(sameValue(await store.conversations.get(id), lines[index] as string)).toBe(true);
    }
    expect(await collect(store.audit())).toEqual([]);
  },
);

test('a conversation of very many messages can be read, counted and added to', async () => {
  const store = await open();
  const messages = Array.from(
    { length: 200_000 },
    (_, index) => `{"role":"user","content":"m${index}"}`,
  );
  const line = Buffer.from(`{"id":"c","messages":[${messages.join()}]}\n`);
  await store.importJsonl([line]);
  expect((await store.conversations.getBytes('c'))?.equals(line)).toBe(true);
  await store.conversations.append('c', [{ role: 'assistant' }]);
  expect((await store.conversations.stat('c'))?.messages).toBe(200_001);
});
