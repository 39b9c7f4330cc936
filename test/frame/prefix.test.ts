import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame } from '../../src/cas/codec/frame.ts';

/** Longer than zstd's window, compressible in part. */
const RAW = Buffer.concat(
  Array.from({ length: 300 }, (_, number) =>
    Buffer.concat([randomBytes(2000), Buffer.from(`line ${number} `.repeat(800))]),
  ),
);

describe('the begin of a frame', () => {
  it('is the begin of what the frame holds, at every length', () => {
    const frame = encodeFrame(RAW);
    for (const length of [0, 1, 1000, 131_071, 131_072, 131_073, 1_000_000, RAW.length - 1]) {
      const prefix = decodeFrame(frame, 'test', undefined, length);
      expect(prefix).toHaveLength(length);
      expect(Buffer.compare(prefix, RAW.subarray(0, length))).toBe(0);
      expect(Buffer.compare(decodeFrame(frame, 'test'), RAW)).toBe(0);
    }
    for (const length of [RAW.length, RAW.length + 1])
      expect(decodeFrame(frame, 'test', undefined, length)).toHaveLength(RAW.length);
  });

  it('is checked, where the frame has a checksum of all', () => {
    const frame = encodeFrame(RAW, { checksum: true });
    expect(decodeFrame(frame, 'test', undefined, 10)).toHaveLength(RAW.length);
  });

  it('is refused when the frame is cut short or damaged, and the next one is not', () => {
    const frame = encodeFrame(RAW);
    for (const broken of [frame.subarray(0, 1000), Buffer.from(frame).fill(7, 8, 30)])
      expect(() => decodeFrame(broken, 'test', undefined, 500_000)).toThrow('test');
    expect(Buffer.compare(decodeFrame(frame, 'test'), RAW)).toBe(0);
  });
});
