import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../src/core/errors.ts';
import { meets, parseWhere, whereText } from '../../src/core/where.ts';

describe('a condition on a conversation', () => {
  it('is a path, an equals sign and a value, read as written', () => {
    expect(parseWhere('metadata.tenant=acme')).toEqual({
      path: ['metadata', 'tenant'],
      equals: 'acme',
    });
    expect(parseWhere('user=')).toEqual({ path: ['user'], equals: '' });
    expect(parseWhere('a=b=c')).toEqual({ path: ['a'], equals: 'b=c' });
    expect(parseWhere('a\\.b.c\\=d\\\\=x')).toEqual({ path: ['a.b', 'c=d\\'], equals: 'x' });
  });

  it.each(['', 'a', '=x', '.a=x', 'a.=x', 'a..b=x'])('refuses %j', (text) => {
    try {
      parseWhere(text);
      expect.unreachable();
    } catch (error) {
      expect(isVarveError(error, 'INVALID_ARGUMENT')).toBe(true);
    }
  });

  it('is read back as it was, whatever the keys and the value', () => {
    const condition = fc.record({
      path: fc.array(fc.string({ minLength: 1, unit: fc.constantFrom('a', '.', '=', '\\', 'é') }), {
        minLength: 1,
      }),
      equals: fc.string(),
    });
    fc.assert(
      fc.property(condition, (given) => {
        expect(parseWhere(whereText(given))).toEqual(given);
      }),
    );
  });

  it('compares scalars as text, and nothing else', () => {
    const conversation = {
      metadata: { n: 3, s: '3', yes: true, none: null, list: ['x'], deep: { a: 1 } },
    };
    const met = (text: string) => meets(conversation, parseWhere(text));
    for (const text of ['n=3', 's=3', 'yes=true', 'none=null', 'list.0=x', 'deep.a=1']) {
      expect(met(`metadata.${text}`), text).toBe(true);
    }
    for (const text of [
      'n=4',
      'list=x',
      'deep=[object Object]',
      'absent=undefined',
      'n.a=3',
      'toString=x',
    ]) {
      expect(met(`metadata.${text}`), text).toBe(false);
    }
    expect(met('constructor.name=Object')).toBe(false);
  });
});
