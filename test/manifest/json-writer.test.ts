import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isVarveError } from '../../src/core/errors.ts';
import { jsonText } from '../../src/manifest/content/json-writer.ts';

const textOf = (value: unknown) => jsonText(value as object).line.toString();

/** What is refused, and the message. */
function refusal(value: unknown): string {
  try {
    return `accepted as ${textOf(value)}`;
  } catch (error) {
    return isVarveError(error) ? `${error.code} ${error.message}` : `threw ${String(error)}`;
  }
}

class Money {
  readonly #cents = 5;
  readonly currency = 'EUR';
  get cents() {
    return this.#cents;
  }
}

describe('a value as JSON text', () => {
  test('is what JSON.stringify writes, for every value that JSON has', () => {
    const strings = fc.string({ unit: 'binary', maxLength: 20 });
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, false, '\ud800', '__proto__', '\u2028'),
        fc.double({ noDefaultInfinity: true, noNaN: true }).map((number) => number + 0),
        strings,
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(strings, fc.oneof(tie('value'), fc.constant(undefined)), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(strings, value), (record) => {
        expect(textOf(record)).toBe(JSON.stringify(record));
      }),
      { numRuns: 500 },
    );
  });

  test('keeps the sign of zero', () => {
    expect(textOf({ a: -0, b: [0, -0] })).toBe('{"a":-0,"b":[0,-0]}');
  });

  test('drops members that are undefined, as JSON does', () => {
    expect(textOf({ a: undefined, b: 1, c: undefined })).toBe('{"b":1}');
  });

  test('has what toJSON returns, called once with the key', () => {
    const keys: unknown[] = [];
    class Tagged {
      toJSON(key: unknown) {
        keys.push(key);
        return { key };
      }
    }
    const of = (value: unknown) => Object.assign(new Map(), { toJSON: () => value });
    expect(
      textOf({ a: new Tagged(), b: [new Tagged()], c: new Date(0), d: new URL('https://a.b/') }),
    ).toBe('{"a":{"key":"a"},"b":[{"key":"0"}],"c":"1970-01-01T00:00:00.000Z","d":"https://a.b/"}');
    expect(keys).toEqual(['a', '0']);
    expect(textOf({ a: of(-0), b: of(undefined) })).toBe('{"a":-0}');
    expect(textOf(of({ id: 'x' }))).toBe('{"id":"x"}');
    expect(refusal({ a: of(new Map()) })).toMatch('INVALID_ARGUMENT a: it is a Map');
    expect(refusal({ a: [of(undefined)] })).toMatch('INVALID_ARGUMENT a[0]: JSON would make null');
  });

  test('reads each property once', () => {
    let reads = 0;
    const value = {
      get when() {
        return reads++ === 0 ? 'now' : Symbol('later');
      },
    };
    expect(textOf({ messages: [value] })).toBe('{"messages":[{"when":"now"}]}');
  });

  test('takes plain objects wherever they come from', () => {
    expect(textOf(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
    expect(textOf({ a: runInNewContext('({ b: [{ c: 1 }] })') })).toBe('{"a":{"b":[{"c":1}]}}');
    expect(textOf(new Proxy({ a: new Proxy([1], {}) }, {}))).toBe('{"a":[1]}');
    const same = { b: 1 };
    expect(textOf({ a: same, c: [same, same] })).toBe('{"a":{"b":1},"c":[{"b":1},{"b":1}]}');
  });

  test.each<[string, unknown, string]>([
    ['a number that is not finite', Number.NaN, 'NaN is not a number'],
    ['infinity', Number.NEGATIVE_INFINITY, '-Infinity is not a number'],
    ['a bigint', 5n, 'cannot write a bigint'],
    ['a function', () => 1, 'would drop a function'],
    ['a class', Money, 'would drop a function'],
    ['a symbol', Symbol('s'), 'would drop a symbol'],
    ['an instance of a class', new Money(), 'it is a Money'],
    ['an object with a bare prototype', Object.create(Object.create(null)), 'it is an object'],
    [
      'an object with a prototype',
      Object.create({ inherited: 1 }),
      'it is an object: give it a toJSON',
    ],
    ['a map', new Map([[1, 2]]), 'it is a Map'],
    ['a set', new Set([1]), 'it is a Set'],
    ['a weak map', new WeakMap(), 'it is a WeakMap'],
    ['an error', new TypeError('e'), 'it is a TypeError'],
    ['a regular expression', /x/, 'it is a RegExp'],
    ['a promise', Promise.resolve(1), 'it is a Promise'],
    ['an iterator', [1][Symbol.iterator](), 'it is'],
    [
      'a generator',
      (function* () {
        yield 1;
      })(),
      'it is',
    ],
    ['a boxed number', Object(5), 'it is a Number'],
    ['a boxed string', Object('five'), 'it is a String'],
    ['an invalid date', new Date(Number.NaN), 'null of an invalid date'],
    ['bytes', Buffer.from('x'), 'only Uint32Array'],
    ['floats', new Float32Array(2), 'only Uint32Array'],
    ['a buffer', new ArrayBuffer(2), 'only Uint32Array'],
    ['a shared buffer', new SharedArrayBuffer(2), 'only Uint32Array'],
    ['a view', new DataView(new ArrayBuffer(2)), 'only Uint32Array'],
    ['token ids behind a proxy', new Proxy(new Uint32Array(2), {}), 'it is a Uint32Array'],
    ['a symbol key', { [Symbol('hidden')]: 1 }, 'would drop its key Symbol(hidden)'],
    [
      'a symbol key of an array',
      Object.assign([1], { [Symbol('hidden')]: 1 }),
      'would drop its key Symbol(hidden)',
    ],
    ['a property of an array', Object.assign([1], { index: 1 }), 'would drop the property "index"'],
  ])('refuses %s, and says where', (_, value, reason) => {
    const place = 'messages[3].content[0].when';
    const message = refusal({ messages: [1, {}, 'x', { content: [{ ok: 1, when: value }] }] });
    expect(message).toMatch(`INVALID_ARGUMENT ${place}: `);
    expect(message).toContain(reason);
    expect(refusal({ 'a key': [[value]] })).toMatch('INVALID_ARGUMENT ["a key"][0][0]: ');
    expect(refusal({ messages: [value] })).toMatch('INVALID_ARGUMENT messages[0]: ');
  });

  test('refuses holes and undefined in arrays', () => {
    const holes = [1];
    holes[5] = 6;
    expect(refusal({ messages: [{ a: holes }] })).toMatch(
      'INVALID_ARGUMENT messages[0].a[1]: JSON would make null',
    );
    expect(refusal({ a: [undefined] })).toMatch('INVALID_ARGUMENT a[0]: ');
    expect(refusal({ a: new Array(2 ** 32 - 1) })).toMatch('INVALID_ARGUMENT a[0]: ');
  });

  test('refuses cycles where they close', () => {
    const cycle: Record<string, unknown> = { a: [{}] };
    (cycle['a'] as object[])[1] = { back: cycle };
    expect(refusal({ outer: cycle })).toMatch(
      'INVALID_ARGUMENT outer.a[1].back: it contains itself',
    );
  });

  test('says which getter, toJSON or proxy threw', () => {
    const thrown = () => {
      throw new Error('not today');
    };
    const getter = Object.defineProperty({}, 'when', { get: thrown, enumerable: true });
    expect(refusal({ messages: [getter] })).toMatch(
      'INVALID_ARGUMENT messages[0].when cannot be read: not today',
    );
    expect(refusal({ a: { toJSON: thrown } })).toMatch(
      'INVALID_ARGUMENT a cannot be read: not today',
    );
    expect(refusal({ a: new Proxy({}, { ownKeys: thrown }) })).toMatch(
      'INVALID_ARGUMENT a cannot be read: not today',
    );
    expect(refusal({ a: new Proxy({}, { getPrototypeOf: thrown }) })).toMatch(
      'INVALID_ARGUMENT a cannot be read',
    );
    const throwing = (value: unknown) => ({
      get a() {
        throw value;
      },
    });
    for (const value of [
      undefined,
      null,
      5,
      Symbol('s'),
      new Proxy(new Error('e'), { get: thrown, getPrototypeOf: thrown }),
    ]) {
      expect(refusal(throwing(value))).toMatch('INVALID_ARGUMENT a cannot be read');
    }
  });

  test('ends where nesting has no end', () => {
    const endless = (): object => ({
      get a() {
        return endless();
      },
    });
    expect(refusal(endless())).toMatch('TOO_LARGE the conversation is nested more than 10000 deep');
    const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(refusal(JSON.parse(nested(100_000)))).toMatch('TOO_LARGE');
    expect(textOf(JSON.parse(nested(9999)))).toBe(nested(9999));
  });

  test.each([
    [[]],
    [5],
    ['ab'],
    [null],
    [undefined],
    [Symbol('s')],
    [5n],
    [() => 1],
    [new Uint32Array(2)],
    [{ toJSON: () => [] }],
  ])('is that of an object alone', (value) => {
    expect(refusal(value)).toMatch('INVALID_ARGUMENT');
  });

  test('names the places of typed arrays in bytes', () => {
    const { line, typedAt } = jsonText({
      é: Uint32Array.of(1, 2),
      a: [new Uint32Array(), '“'],
      b: Uint32Array.of(2 ** 32 - 1),
    });
    expect(line.toString()).toBe('{"é":[1,2],"a":[[],"“"],"b":[4294967295]}');
    expect(typedAt.map((at) => line.subarray(at).toString().split(']')[0])).toEqual([
      '[1,2',
      '[',
      '[4294967295',
    ]);
  });

  test('of many megabytes is whole', () => {
    const value = {
      messages: Array.from({ length: 30_000 }, (_, index) => ({
        index,
        text: `é${'x'.repeat(100)}`,
      })),
    };
    expect(textOf(value) === JSON.stringify(value)).toBe(true);
  });
});
