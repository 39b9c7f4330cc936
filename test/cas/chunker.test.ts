import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BLOB_CHUNKS,
  Chunker,
  type ChunkerOptions,
  cutPoints,
  TEXT_CHUNKS,
  TOKEN_CHUNKS,
} from '../../src/cas/chunker.ts';
import { addressOf } from '../../src/core/address.ts';
import { randomBytes } from './random-bytes.ts';

const TINY: ChunkerOptions = { minBytes: 64, averageBytes: 256, maxBytes: 1024, alignment: 1 };
const TINY_TOKENS: ChunkerOptions = { ...TINY, alignment: 4 };

function chunksOf(bytes: Uint8Array, options: ChunkerOptions): Uint8Array[] {
  const cuts = cutPoints(bytes, options);
  return cuts.map((end, i) => bytes.subarray(cuts[i - 1] ?? 0, end));
}

const content = fc.oneof(
  fc.uint8Array({ maxLength: 6000 }),
  fc
    .tuple(fc.nat(), fc.integer({ min: 0, max: 20_000 }))
    .map(([seed, length]) => randomBytes(seed, length)),
  fc
    .tuple(fc.nat(255), fc.integer({ min: 0, max: 9000 }))
    .map(([byte, length]) => new Uint8Array(length).fill(byte)),
);

describe('cutPoints', () => {
  test('empty content has no chunks', () => {
    expect(cutPoints(new Uint8Array(0))).toEqual([]);
  });

  test('content up to the minimum is one chunk', () => {
    expect(cutPoints(randomBytes(1, 64), TINY)).toEqual([64]);
    expect(cutPoints(new Uint8Array(1), TINY)).toEqual([1]);
  });

  test('chunks cover the content, within bounds and on the alignment', () => {
    fc.assert(
      fc.property(content, fc.constantFrom(TINY, TINY_TOKENS), (bytes, options) => {
        const cuts = cutPoints(bytes, options);
        expect(cuts.at(-1) ?? 0).toBe(bytes.length);
        let start = 0;
        for (const end of cuts) {
          const last = end === bytes.length;
          expect(end - start).toBeGreaterThan(0);
          expect(end - start).toBeLessThanOrEqual(options.maxBytes);
          if (!last) expect(end - start).toBeGreaterThanOrEqual(options.minBytes);
          if (!last) expect(end % options.alignment).toBe(0);
          start = end;
        }
      }),
    );
  });

  test('cuts where a chunk ends depend on nothing before the chunk', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const cuts = cutPoints(bytes, TINY);
        const first = cuts[0] ?? 0;
        expect(cutPoints(bytes.slice(first), TINY)).toEqual(
          cuts.slice(1).map((cut) => cut - first),
        );
      }),
    );
  });

  test.each([
    ['bytes', TINY, 1],
    ['tokens', TINY_TOKENS, 4],
  ] as const)('an insert into %s changes few chunks', (_, options, step) => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat({ max: 40_000 }),
        fc.integer({ min: 1, max: 50 }),
        (seed, position, size) => {
          const before = randomBytes(seed, 60_000);
          const at = position - (position % step);
          const after = Buffer.concat([
            before.subarray(0, at),
            randomBytes(seed + 1, size * step),
            before.subarray(at),
          ]);
          const known = new Set(chunksOf(before, options).map(addressOf));
          const fresh = chunksOf(after, options).filter((chunk) => !known.has(addressOf(chunk)));
          // About 220 chunks in all; the edited one and those until the cuts meet again.
          expect(fresh.length).toBeLessThanOrEqual(20);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('the average is near what was asked for', () => {
    const bytes = randomBytes(3, 8_000_000);
    for (const options of [TEXT_CHUNKS, TOKEN_CHUNKS, BLOB_CHUNKS]) {
      const average = bytes.length / cutPoints(bytes, options).length;
      expect(average / options.averageBytes).toBeGreaterThan(0.8);
      expect(average / options.averageBytes).toBeLessThan(1.4);
    }
  });

  test('the cuts of format 1 never change', () => {
    // Small chunks, so that some end within the 32 bytes that the hash is warmed up on.
    expect(
      addressOf(Buffer.from(cutPoints(randomBytes(42, 1_000_000), TINY).join())),
    ).toMatchInlineSnapshot(`"4c4ed0adadcf296ccc6ddb3a26cdddfef102d7c971cbd51b66abb63933c7f43f"`);
    expect(
      addressOf(Buffer.from(cutPoints(randomBytes(42, 1_000_000), TEXT_CHUNKS).join())),
    ).toMatchInlineSnapshot(`"f02535277051feea6790da68ccb7cf825f1be4e8ac3c51eae54eb8001426a6f6"`);
    expect(
      addressOf(Buffer.from(cutPoints(randomBytes(42, 1_000_000), TOKEN_CHUNKS).join())),
    ).toMatchInlineSnapshot(`"3230c504bef861761de3d4326e712623e3f64526336a7da92b8f34fbff427179"`);
    expect(
      addressOf(Buffer.from(cutPoints(randomBytes(42, 2_000_000), BLOB_CHUNKS).join())),
    ).toMatchInlineSnapshot(`"045f9e43f9e5bb83618e45e9f1790eb833b6520afb6d9d91946781da7565e765"`);
  });

  test.each([
    { minBytes: 16 },
    { minBytes: 256 },
    { averageBytes: 300 },
    { maxBytes: 256 },
    { maxBytes: 8 * 1024 * 1024 },
    { minBytes: 66, alignment: 4 },
    { minBytes: Number.NaN },
  ] as const)('refuses impossible sizes: %o', (wrong) => {
    const options = { ...TINY, ...wrong };
    expect(() => cutPoints(new Uint8Array(1), options)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(() => new Chunker(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('Chunker', () => {
  test('gives the chunks of cutPoints whatever the sizes of the pieces', () => {
    fc.assert(
      fc.property(
        content,
        fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1 }),
        fc.constantFrom(TINY, TINY_TOKENS),
        (bytes, sizes, options) => {
          const chunker = new Chunker(options);
          const chunks: Uint8Array[] = [];
          let at = 0;
          for (const size of sizes) {
            chunks.push(...chunker.push(bytes.subarray(at, at + size)));
            at += size;
          }
          chunks.push(...chunker.push(bytes.subarray(at)), ...chunker.flush());
          expect(chunks.map(addressOf)).toEqual(chunksOf(bytes, options).map(addressOf));
        },
      ),
    );
  });

  test('can be used again after flush', () => {
    const bytes = randomBytes(9, 10_000);
    const chunker = new Chunker(TINY);
    const once = [...chunker.push(bytes), ...chunker.flush()];
    const again = [...chunker.push(bytes), ...chunker.flush()];
    expect(again).toEqual(once);
  });

  test('its chunks stay as they are when more is pushed', () => {
    const bytes = randomBytes(10, 3000);
    const chunker = new Chunker(TINY);
    const [first] = chunker.push(bytes);
    const kept = first?.slice();
    chunker.push(new Uint8Array(20_000));
    expect(first).toEqual(kept);
  });
});
