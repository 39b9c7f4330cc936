import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { globMatcher } from '../src/core/glob.ts';

describe('a glob', () => {
  test.each([
    ['*', ['', 'a', 'a/b', 'a\nb', '🗻'], []],
    ['a*c', ['ac', 'abc', 'a/b/c'], ['ab', 'bac', 'acb']],
    ['?', ['a', '🗻', '\n'], ['', 'ab']],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x']],
    ['[!a-c]x', ['dx'], ['ax']],
    ['[]]', [']'], ['[']],
    ['[', ['['], ['a']],
    ['{a,b*}/1', ['a/1', 'bcd/1'], ['c/1', 'a/2']],
    ['{a,{b,c}}', ['a', 'b', 'c'], ['d', '{b,c}']],
    ['{a}', ['{a}'], ['a']],
    ['!a', ['!a'], ['b']],
    ['\\*\\{a,b}', ['*{a,b}'], ['xa']],
    ['', [''], ['a']],
  ])('%s takes %j and not %j', (pattern, matching, others) => {
    const matches = globMatcher(pattern);
    for (const id of matching) expect([id, matches(id)]).toEqual([id, true]);
    for (const id of others) expect([id, matches(id)]).toEqual([id, false]);
  });

  test('without special characters matches only itself', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (id, other) => {
        const escaped = id.replace(/[*?[\]{},\\!]/g, '\\$&');
        expect(globMatcher(escaped)(id)).toBe(true);
        expect(globMatcher(escaped)(other)).toBe(other === id);
      }),
    );
  });

  test('of stars and letters matches as the regular expression does', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    const ids = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
    fc.assert(
      fc.property(letters, ids, (pattern, id) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
        expect(globMatcher(pattern)(id)).toBe(expression.test(id));
      }),
    );
  });

  test('with many stars does not take long', () => {
    const started = performance.now();
    expect(globMatcher('*a*a*a*a*a*a*a*c')(`${'a'.repeat(500)}b`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test('with too many alternatives is refused', () => {
    expect(() => globMatcher('{a,b}'.repeat(11))).toThrow(/at most 1000 alternatives/);
  });
});
