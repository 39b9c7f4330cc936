import fc from 'fast-check';
import { expect, test } from 'vitest';
import { indentJson } from '../../src/cli/messages/indent-json.ts';

test('JSON is indented as JSON.stringify does it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(indentJson(JSON.stringify(value))).toBe(JSON.stringify(value, undefined, 2));
    }),
  );
});

test('numbers stay as they are written, and so do duplicate keys', () => {
  expect(indentJson('{"a":12345678901234567890,"a": 1.0, "b":[ ] , "c":1E400}')).toBe(
    '{\n  "a": 12345678901234567890,\n  "a": 1.0,\n  "b": [],\n  "c": 1E400\n}',
  );
});

test('deep nesting does not grow with its square', () => {
  const deep = `${'['.repeat(10_000)}1${']'.repeat(10_000)}`;
  expect(indentJson(deep).length).toBeLessThan(4_000_000);
});
