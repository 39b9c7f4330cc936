import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { packTokens, unpackTokens } from '../../../cas/codec/token-codec.ts';
import { type Address, addressOf } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { segmentKey } from './keys.ts';
import { type Generation, parseGeneration } from './sidecar.ts';

/** Encodes a segment for storage: a frame of its bytes, with token ids as varints. */
export function encodeSegment(
  canonical: Uint8Array,
  address: Address,
  generation: Generation,
  level: number,
): Buffer {
  const { encoding } = parseGeneration(generation);
  const raw = encoding === 'tokens' ? packTokens(canonical) : canonical;
  return encodeSealed(raw, sealedAs(address, generation), { level });
}

/** @throws `CORRUPT` unless the bytes have the address: every read re-hashes. */
export function decodeSegment(
  stored: Uint8Array,
  address: Address,
  generation: Generation,
): Uint8Array {
  const key = segmentKey(address, generation);
  const what = `segment ${address} (${key})`;
  const raw = decodeSealed(stored, sealedAs(address, generation), what);
  const { encoding } = parseGeneration(generation);
  const canonical = encoding === 'tokens' ? unpackTokens(raw, what) : raw;
  if (addressOf(canonical) !== address) {
    throw new VarveError(
      'CORRUPT',
      `segment ${address} is damaged: the bytes of ${key} have another address`,
    );
  }
  return canonical;
}

function sealedAs(address: Address, generation: Generation): SealedAs {
  return { role: 'segment', identity: `${address}/${generation}` };
}
