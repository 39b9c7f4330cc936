import { decodeFrame, encodeFrame } from '../../../cas/codec/frame.ts';
import { packTokens, unpackTokens } from '../../../cas/codec/token-codec.ts';
import { type Address, addressOf } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import type { SegmentEncoding } from '../../contract/manifests.ts';
import { segmentKey } from './keys.ts';
import { type Generation, parseGeneration } from './sidecar.ts';

/** What is stored of a segment: a frame of its bytes, token ids as varints. */
export function encodeSegment(
  canonical: Uint8Array,
  encoding: SegmentEncoding,
  level: number,
): Buffer {
  return encodeFrame(encoding === 'tokens' ? packTokens(canonical) : canonical, { level });
}

/** @throws `CORRUPT` unless the bytes have the address: every read re-hashes. */
export function decodeSegment(
  stored: Uint8Array,
  address: Address,
  generation: Generation,
): Uint8Array {
  const key = segmentKey(address, generation);
  const raw = decodeFrame(stored, `segment ${address} (${key})`);
  const { encoding } = parseGeneration(generation);
  const canonical = encoding === 'tokens' ? unpackTokens(raw, `segment ${address} (${key})`) : raw;
  if (addressOf(canonical) !== address) {
    throw new VarveError(
      'CORRUPT',
      `segment ${address} is damaged: the bytes of ${key} have another address`,
    );
  }
  return canonical;
}
