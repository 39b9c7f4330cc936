import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codecOf, RAW, ZSTD } from '../../src/cas/codec/codec.ts';
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES } from '../../src/cas/codec/frame.ts';
import { ByteWriter } from '../../src/cas/codec/varint.ts';
import { addressOf } from '../../src/core/address.ts';
import { type ErrorCode, VarveError } from '../../src/core/errors.ts';

function failure(work: () => unknown): VarveError {
  try {
    work();
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

function expectFailure(work: () => unknown, code: ErrorCode, message = ''): void {
  const error = failure(work);
  expect({ code: error.code, message: error.message }).toEqual({
    code,
    message: expect.stringContaining(message),
  });
}

const compressible = Buffer.from('the same line again and again\n'.repeat(50));
const dictionaryBytes = Buffer.from(
  'the same line again, and what a dictionary of lines would hold. '.repeat(20),
);
const dictionary = { address: addressOf(dictionaryBytes), bytes: dictionaryBytes };

describe('a frame', () => {
  const contents = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc
      .tuple(fc.uint8Array({ maxLength: 20 }), fc.nat({ max: 300 }))
      .map(([unit, times]) => Buffer.concat(Array(times).fill(unit))),
  );

  test('gives back what was put in', () => {
    const options = fc.record({
      level: fc.constantFrom(1, 3, 19),
      checksum: fc.boolean(),
      ...{ dictionary: fc.constantFrom(undefined, dictionary) },
    });
    fc.assert(
      fc.property(contents, options, (raw, { level, checksum, dictionary: used }) => {
        const frame = encodeFrame(raw, {
          level,
          checksum,
          ...(used === undefined ? {} : { dictionary: used }),
        });
        const decoded = decodeFrame(frame, 'test', (address) =>
          address === dictionary.address ? dictionaryBytes : undefined,
        );
        expect(Buffer.compare(decoded, raw)).toBe(0);
        expect(frame.length).toBeLessThanOrEqual(raw.length + 56);
      }),
      { numRuns: 200 },
    );
  });

  test('is no larger than its content by more than a few bytes, whatever the content', () => {
    expect(encodeFrame(Buffer.alloc(0))).toHaveLength(7);
    expect(encodeFrame(compressible).length).toBeLessThan(100);
  });

  test('holds up to 64 MiB and refuses more', () => {
    expectFailure(() => encodeFrame(Buffer.alloc(MAX_FRAME_BYTES + 1)), 'TOO_LARGE');
    expect(
      decodeFrame(encodeFrame(Buffer.alloc(MAX_FRAME_BYTES), { level: 1 }), 'test'),
    ).toHaveLength(MAX_FRAME_BYTES);
  });

  test('with a checksum and any bit flipped is refused', () => {
    for (const raw of [compressible, Buffer.from('short')]) {
      const frame = encodeFrame(raw, { checksum: true });
      for (let at = 0; at < frame.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const damaged = Buffer.from(frame);
          damaged[at] = (frame[at] as number) ^ (1 << bit);
          let decoded: Uint8Array | undefined;
          try {
            decoded = decodeFrame(damaged, 'frame f');
          } catch (error) {
            expect(error).toBeInstanceOf(VarveError);
            expect(['CORRUPT', 'UNSUPPORTED_FORMAT']).toContain((error as VarveError).code);
            expect((error as VarveError).message).toContain('frame f');
          }
          // A flip of the flags may take the checksum away; what comes out is still never other
          // bytes of that length.
          if (decoded !== undefined)
            expect(Buffer.compare(decoded, raw), `byte ${at} bit ${bit}`).toBe(0);
        }
      }
    }
  });

  test('cut short anywhere, or with bytes behind it, is refused', () => {
    const frame = encodeFrame(compressible, { checksum: true });
    for (let length = 0; length < frame.length; length++) {
      expectFailure(() => decodeFrame(frame.subarray(0, length), 'frame f'), 'CORRUPT', 'frame f');
    }
    expectFailure(
      () => decodeFrame(Buffer.concat([frame, Buffer.from('x')]), 'frame f'),
      'CORRUPT',
      'frame f',
    );
  });

  test('of a newer version, an unknown codec or unknown flags says to upgrade', () => {
    const frame = encodeFrame(compressible);
    for (const at of [3, 4, 5]) {
      for (const number of [4, 15]) {
        const newer = Buffer.from(frame);
        newer[at] = number;
        expectFailure(() => decodeFrame(newer, 'frame f'), 'UNSUPPORTED_FORMAT', 'newer version');
      }
    }
    expectFailure(() => codecOf(9), 'UNSUPPORTED_FORMAT', '9');
  });

  test('with a version, a codec or flags that no version will have is damaged', () => {
    const frame = encodeFrame(compressible);
    for (const at of [3, 4, 5]) {
      const damaged = Buffer.from(frame);
      damaged[at] = 100;
      expectFailure(() => decodeFrame(damaged, 'frame f'), 'CORRUPT', 'frame f');
    }
    expectFailure(
      () => decodeFrame(Buffer.from('VFRgarbage'), 'frame f'),
      'CORRUPT',
      'there is no frame format 103',
    );
    expectFailure(() => codecOf(99), 'CORRUPT', '99');
  });

  test('that declares more than a frame may hold is refused before anything is allocated', () => {
    const out = new ByteWriter();
    out.bytes(Buffer.from('VFR'));
    for (const value of [1, ZSTD.number, 0, 2 ** 50]) out.varint(value);
    expectFailure(
      () => decodeFrame(out.finish(), 'frame f'),
      'CORRUPT',
      'more than a frame may hold',
    );
  });

  test('that declares less or more than comes out is refused', () => {
    for (const [codec, payload] of [
      [RAW, compressible],
      [ZSTD, ZSTD.encode(compressible, { level: 3 })],
    ] as const) {
      for (const declared of [0, compressible.length - 1, compressible.length + 1]) {
        const out = new ByteWriter();
        out.bytes(Buffer.from('VFR'));
        for (const value of [1, codec.number, 0, declared]) out.varint(value);
        out.bytes(payload);
        expectFailure(() => decodeFrame(out.finish(), 'frame f'), 'CORRUPT', 'frame f');
      }
    }
  });

  test('names the dictionary it lacks', () => {
    const frame = encodeFrame(compressible, { dictionary });
    expectFailure(() => decodeFrame(frame, 'frame f'), 'CORRUPT', dictionary.address);
    const other = Buffer.from(dictionaryBytes).reverse();
    expectFailure(
      () =>
        decodeFrame(
          encodeFrame(compressible, { dictionary, checksum: true }),
          'frame f',
          () => other,
        ),
      'CORRUPT',
    );
  });
});
