import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ADDRESS_BYTES, addressOf, isAddress, parseAddress } from '../../src/core/address.ts';

describe('an address', () => {
  it('is the SHA-256 of the bytes, as in the examples of FIPS 180-4', () => {
    expect(addressOf(Buffer.from('abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    expect(addressOf(new Uint8Array())).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('is what an independent implementation computes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => {
        expect(addressOf(bytes)).toBe(bytesToHex(sha256(bytes)));
      }),
    );
  });

  it('is of the bytes of a view, not of the memory around it', () => {
    const memory = Uint8Array.of(9, 1, 2, 3, 9);
    expect(addressOf(memory.subarray(1, 4))).toBe(addressOf(Uint8Array.of(1, 2, 3)));
  });

  it('is read back as it was written, and in no other way', () => {
    const address = addressOf(Buffer.from('abc'));
    expect(parseAddress(address)).toBe(address);
    expect(Buffer.from(address, 'hex')).toHaveLength(ADDRESS_BYTES);
    for (const other of [
      address.toUpperCase(),
      address.slice(1),
      `${address}0`,
      `${address}\n`,
      ` ${address}`,
      '',
    ]) {
      expect(isAddress(other)).toBe(false);
      expect(() => parseAddress(other)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
  });
});
