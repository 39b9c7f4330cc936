import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/cas/codec/varint.ts';
import { VarveError } from '../../src/core/errors.ts';

const EDGES = [
  0,
  1,
  127,
  128,
  16_383,
  16_384,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 49,
  2 ** 52,
  Number.MAX_SAFE_INTEGER,
];

function reading(bytes: Uint8Array): ByteReader {
  return new ByteReader(bytes, 'thing t');
}

describe('a varint', () => {
  test('of any safe integer is read as it was written, in at most eight bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.maxSafeNat(), fc.nat(), fc.constantFrom(...EDGES))),
        (values) => {
          const out = new ByteWriter(1);
          for (const value of values) out.varint(value);
          expect(out.length).toBeLessThanOrEqual(values.length * 8);
          const reader = reading(out.finish());
          expect(values.map(() => reader.varint())).toEqual(values);
          reader.end();
        },
      ),
    );
  });

  test('with a sign is read as it was written', () => {
    const signed = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const large = fc.maxSafeInteger().filter((value) => Math.abs(value) < 2 ** 52);
    fc.assert(
      fc.property(
        fc.oneof(signed, large, fc.constantFrom(0, -1, 1, 2 ** 52 - 1, -(2 ** 52) + 1)),
        (value) => {
          const out = new ByteWriter();
          out.signed(value);
          expect(reading(out.view()).signed()).toBe(value);
        },
      ),
    );
  });

  test('that is cut short, too long or too large is refused', () => {
    for (const bytes of [
      [],
      [0x80],
      Array<number>(7).fill(0xff),
      Array<number>(8).fill(0xff),
      [...Array<number>(8).fill(0x80), 1],
    ]) {
      expect(() => reading(Uint8Array.from(bytes)).varint()).toThrow(VarveError);
      expect(() => reading(Uint8Array.from(bytes)).varint()).toThrow(/thing t: damaged at byte 0/);
    }
  });
});

describe('a writer', () => {
  test('and a reader agree on any sequence', () => {
    const piece = fc.oneof(
      fc.record({ kind: fc.constant('varint' as const), value: fc.maxSafeNat() }),
      fc.record({ kind: fc.constant('text' as const), value: fc.string({ unit: 'grapheme' }) }),
      fc.record({
        kind: fc.constant('prefixed' as const),
        value: fc.uint8Array({ maxLength: 700 }),
      }),
      fc.record({ kind: fc.constant('hex' as const), value: fc.constant('00ff10ab') }),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const out = new ByteWriter(1);
        for (const each of pieces) {
          if (each.kind === 'varint') out.varint(each.value);
          else if (each.kind === 'text') out.text(each.value);
          else if (each.kind === 'hex') out.hex(each.value);
          else out.prefixed(each.value);
        }
        const reader = reading(out.finish());
        for (const each of pieces) {
          if (each.kind === 'varint') expect(reader.varint()).toBe(each.value);
          else if (each.kind === 'text') expect(reader.text()).toBe(each.value);
          else if (each.kind === 'hex') expect(reader.hex(4)).toBe(each.value);
          else expect(Buffer.compare(reader.prefixed(), each.value)).toBe(0);
        }
        expect(reader.remaining).toBe(0);
      }),
    );
  });

  test('gives a copy that later writes do not change', () => {
    const out = new ByteWriter();
    out.varint(1);
    const first = out.finish();
    out.clear();
    out.varint(2);
    expect([...first]).toEqual([1]);
    expect([...out.view()]).toEqual([2]);
  });
});

test('a reader refuses lengths beyond its end, and rests that should not be there', () => {
  expect(() => reading(Uint8Array.of(5, 1, 2)).prefixed()).toThrow(/damaged at byte 1 of 3/);
  expect(() => reading(Uint8Array.of(1)).end()).toThrow(/damaged/);
  expect(() => reading(Uint8Array.of(1)).bytes(2)).toThrow(/damaged/);
});
