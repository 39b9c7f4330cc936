import { decodeFrame, encodeFrame, type FrameOptions } from './frame.ts';

/**
 * What a stored frame is, and which one: what a seal binds to its bytes. Never its location,
 * because records move from pack to pack and from bucket to bucket.
 */
export interface SealedAs {
  readonly role: 'segment' | 'block' | 'manifest' | 'rollup' | 'heads' | 'journal' | 'catalog';
  /**
   * Of a segment its address and generation, of a block the records that it holds, of a manifest,
   * a rollup, a page of heads, a journal and a catalog the key of its object.
   */
  readonly identity: string;
}

/** Wraps `raw` in a frame and seals it: the only way to store frames. */
export function encodeSealed(raw: Uint8Array, as: SealedAs, options: FrameOptions = {}): Buffer {
  return seal(encodeFrame(raw, options), as);
}

/**
 * Unwraps what {@link encodeSealed} returned for the same role and identity.
 *
 * @param what names the frame in errors: its file and offset, or its key.
 * @param prefix how many of the first bytes to return, at least. Default: all.
 * @throws `CORRUPT` when it is damaged, `UNSUPPORTED_FORMAT` when a newer Varve wrote it.
 */
export function decodeSealed(
  sealed: Uint8Array,
  as: SealedAs,
  what: string,
  prefix?: number,
): Uint8Array {
  return decodeFrame(unseal(sealed, as), what, undefined, prefix);
}

/**
 * The last step before a frame is stored. Today the identity; encryption of a store stands here,
 * with `as` as the associated data.
 */
function seal(frame: Buffer, _as: SealedAs): Buffer {
  return frame;
}

/** The first step after a frame was read; reverses {@link seal}. */
function unseal(sealed: Uint8Array, _as: SealedAs): Uint8Array {
  return sealed;
}
