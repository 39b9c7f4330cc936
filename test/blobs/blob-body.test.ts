import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BlobEntry,
  decodeBlobEntry,
  encodeBlobEntry,
} from '../../src/manifest/blobs/blob-body.ts';

const entries: fc.Arbitrary<BlobEntry> = fc.record({
  lengths: fc.array(fc.integer({ min: 1, max: 4 * 1024 * 1024 }), { maxLength: 100 }),
  end: fc.option(
    fc.record({
      bytes: fc.maxSafeNat(),
      sha256: fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((bytes) => Buffer.from(bytes).toString('hex')),
      contentType: fc.option(fc.string({ minLength: 1, unit: 'binary' }), { nil: undefined }),
    }),
    { nil: undefined },
  ),
});

describe('the body of a blob entry', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeBlobEntry(encodeBlobEntry(entry), 'test')).toEqual(entry);
      }),
    );
  });

  test('is what format 1 says, byte by byte', () => {
    const end = { bytes: 70_000, sha256: 'ab'.repeat(32), contentType: 'a/b' };
    const body = Buffer.from(encodeBlobEntry({ lengths: [65_536, 4464], end })).toString('hex');
    expect(body).toBe(
      `${'01'}${'01'}${'02'}${'808004'}${'f022'}${'f0a204'}${'ab'.repeat(32)}${'03'}${'612f62'}`,
    );
    expect(Buffer.from(encodeBlobEntry({ lengths: [1], end: undefined })).toString('hex')).toBe(
      '01000101',
    );
  });

  test('cut short or extended is corrupt', () => {
    fc.assert(
      fc.property(entries, fc.nat(), (entry, cut) => {
        const body = encodeBlobEntry(entry);
        const short = body.subarray(0, cut % body.length);
        expect(() => decodeBlobEntry(short, 'test')).toThrow(
          expect.objectContaining({ code: 'CORRUPT' }),
        );
        const long = Buffer.concat([body, Buffer.alloc(1)]);
        expect(() => decodeBlobEntry(long, 'test')).toThrow(
          expect.objectContaining({ code: 'CORRUPT' }),
        );
      }),
    );
  });

  test.each([
    ['claims more chunks than it has room for', '0100ffffffffff7f'],
    ['has a chunk of no length', '01000100'],
    ['has an unknown flag', '010200'],
  ])('that %s is corrupt', (_, hex) => {
    const decode = () => decodeBlobEntry(Buffer.from(hex, 'hex'), 'test');
    expect(decode).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  });

  test('of a later format asks for an upgrade', () => {
    const decode = () => decodeBlobEntry(Buffer.from('0200', 'hex'), 'entry 0 of blob "x"');
    expect(decode).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_FORMAT' }));
  });
});
