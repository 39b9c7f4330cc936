import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { elementEnds } from '../../src/manifest/content/composition.ts';
import { FIELD, JsonScanner, SPAN } from '../../src/manifest/content/json-scanner.ts';
import { times } from '../thorough.ts';

const scanner = new JsonScanner();

function accepts(line: Buffer): boolean {
  try {
    scanner.scan(line, 8);
    return true;
  } catch {
    return false;
  }
}

function parses(line: Buffer): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line);
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function spans(): [number, string][] {
  return Array.from({ length: scanner.spanCount }, (_, index) => [
    scanner.kinds[index] as number,
    text.toString('utf8', scanner.starts[index], scanner.ends[index]),
  ]);
}

let text = Buffer.alloc(0);
function scan(json: string, longAt = 8): [number, string][] {
  text = Buffer.from(json);
  scanner.scan(text, longAt);
  return spans();
}

const jsonObject = fc
  .dictionary(
    fc.oneof(fc.constantFrom('id', 'messages', 'tokens', 'created'), fc.string({ unit: 'binary' })),
    fc.jsonValue({ maxDepth: 4 }),
  )
  .chain((value) =>
    fc.constantFrom(
      JSON.stringify(value),
      JSON.stringify(value, null, 1),
      JSON.stringify(value, null, '\t'),
    ),
  );

describe('JsonScanner', () => {
  test('accepts every object that JSON.stringify writes', () => {
    fc.assert(
      fc.property(jsonObject, (json) => {
        expect(accepts(Buffer.from(json))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('accepts a mutated line exactly when JSON.parse does', () => {
    const bytes = fc.constantFrom(
      ...Buffer.from(
        ' \t\n\r{}[]:,"\\/0123456789+-.eEtrufalsn\x00\x01\x1f\x7f\x80\xc3\xe2\xef\xf0u',
        'latin1',
      ),
    );
    const mutation = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      remove: fc.nat(2),
      insert: fc.array(bytes, { maxLength: 2 }),
    });
    let valid = 0;
    let invalid = 0;
    fc.assert(
      fc.property(
        jsonObject,
        fc.array(mutation, { minLength: 1, maxLength: 2 }),
        (json, mutations) => {
          let line = Buffer.from(json);
          for (const { at, remove, insert } of mutations) {
            const offset = Math.floor(at * line.length);
            line = Buffer.concat([
              line.subarray(0, offset),
              Buffer.from(insert),
              line.subarray(offset + remove),
            ]);
          }
          const expected = parses(line);
          if (expected) valid++;
          else invalid++;
          expect(accepts(line)).toBe(expected);
        },
      ),
      { numRuns: times(4000, 10_000) },
    );
    expect(Math.min(valid, invalid)).toBeGreaterThan(250);
  });

  test.each([
    '{"a":01}',
    '{"a":-}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":1e}',
    '{"a":+1}',
    '{"a":0x1}',
    '{"a":NaN}',
    '{"a":tru}',
    '{"a":truex}',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"\\u12',
    '{"a":"\n"}',
    '{"a":1,}',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"a":[1,]}',
    '{"a":[,1]}',
    "{'a':1}",
    '{"a":1}}',
    '{"a":1} x',
    '{"a":1',
    '{"a":"',
    '{"a":"\\',
    '[1]',
    '"a"',
    '1',
    'null',
    '',
    ' ',
    '\ufeff{}',
    '{"a":[1}',
    '{"a":{]}',
    '{"tokens":[1,2}',
    '{"tokens":[1,,2]}',
    '{"tokens":[01]}',
    '{"tokens":[1 2]}',
    '{"tokens":[1',
    '{"a":\u00a01}',
    '{"\u0001":1}',
  ])('refuses %j as JSON.parse does', (json) => {
    expect(parses(Buffer.from(json))).toBe(false);
    expect(() => scan(json)).toThrow(
      expect.objectContaining({
        code: 'MALFORMED_INPUT',
        message: expect.stringMatching(/^byte \d+: ./),
      }),
    );
  });

  test('says at which byte and why', () => {
    expect(() => scan('{"é":tru}')).toThrow('byte 6: expected a JSON value');
    expect(() => scan('{"a":1 "b":2}')).toThrow('byte 7: expected , or }');
    expect(() => scan('{"a":"x')).toThrow('byte 7: the string does not end (the text ends here)');
    expect(() => scanner.scan(Buffer.from('{"a":"abc\xff"}', 'latin1'), 8)).toThrow(
      'byte 9: not valid UTF-8',
    );
  });

  test('notes long string values, not keys and not short ones', () => {
    expect(
      scan('{"a long key":"a long value","b":"1234567","c":["12345678","é\\u00e9345678"]}'),
    ).toEqual([
      [SPAN.plain, 'a long value'],
      [SPAN.plain, '12345678'],
      [SPAN.escaped, 'é\\u00e9345678'],
    ]);
  });

  test('notes canonical arrays of token ids under the key tokens, and no others', () => {
    expect(scan('{"tokens":[1,2,4294967295],"a":{"tokens":[1, 2, 3]}}')).toEqual([
      [SPAN.tokens, '1,2,4294967295'],
      [SPAN.spacedTokens, '1, 2, 3'],
    ]);
    for (const array of [
      '[1,2,4294967296]',
      '[1, 2,3]',
      '[1,2.0,3]',
      '[ 1,2,3]',
      '[1,2,3 ]',
      '[1,-2,3]',
      '[]',
      '[1]',
      '[1,[2],3]',
    ]) {
      expect(scan(`{"tokens":${array}}`)).toEqual([]);
    }
    expect(scan('{"token":[1,2,3]}')).toEqual([]);
  });

  test('takes the last of duplicate keys, and keys written with escapes', () => {
    scan('{"id":"a","\\u0069d":"b","messages":[1],"x":{"id":"c"}}');
    expect(text.toString('utf8', scanner.fieldStarts[FIELD.id], scanner.fieldEnds[FIELD.id])).toBe(
      '"b"',
    );
    expect(
      text.toString('utf8', scanner.fieldStarts[FIELD.messages], scanner.fieldEnds[FIELD.messages]),
    ).toBe('[1]');
    expect(scanner.fieldStarts[FIELD.model]).toBe(-1);
  });

  test('is not bounded by nesting', () => {
    const depth = 200_000;
    expect(() => scan(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`)).not.toThrow();
    expect(() => scan(`{"a":${'['.repeat(depth)}${']'.repeat(depth - 1)}}`)).toThrow(
      'expected , or ]',
    );
  });

  test('finds where the elements of an array end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ maxDepth: 3 })),
        fc.constantFrom(undefined, 1),
        (values, indent) => {
          const json = Buffer.from(JSON.stringify(values, null, indent));
          const ends = elementEnds(json, 0);
          expect(ends).toHaveLength(values.length);
          for (const [index, end] of ends.entries()) {
            expect(JSON.parse(`${json.toString('utf8', 0, end)}]`)).toEqual(
              JSON.parse(JSON.stringify(values.slice(0, index + 1))),
            );
          }
        },
      ),
    );
  });
});
