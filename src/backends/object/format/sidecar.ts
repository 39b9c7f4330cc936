import { z } from 'zod';
import type { SegmentEncoding } from '../../contract/manifests.ts';
import { assertReadable, decodeJson, type JsonFormat } from './stored-json.ts';

/**
 * One life of a segment's data, a name never used twice: `<12 random characters><b|t><canonical
 * length in base 36>`. It contains the encoding and the length, so that a listing of keys shows the
 * size of what is stored.
 */
export type Generation = string & { readonly __brand: 'Generation' };

/** Names one attempt to write a manifest, at random. Never reused. */
export type AttemptId = string & { readonly __brand: 'AttemptId' };

/**
 * Names one reference in a sidecar: `<referrer>.<attempt>`, the manifest that references the
 * segment and the attempt that took the reference. Never reused.
 */
export type Token = string & { readonly __brand: 'Token' };

/**
 * `uploading`: the data may not be stored yet. `live`: it is stored. `condemned`: it will be
 * deleted. `gone`: it was deleted. A condemned or gone segment comes back only under a new
 * generation.
 */
export type SegmentState = 'uploading' | 'live' | 'condemned' | 'gone';

/**
 * The JSON object beside a segment's data that counts its references. Every body differs from every
 * earlier one (`nonce`), so a request conditioned on an older body can never apply.
 */
export interface Sidecar {
  readonly v: 1;
  readonly nonce: string;
  readonly gen: Generation;
  readonly state: SegmentState;
  /** The number of `refs`; for a `hot` segment only a lower bound. */
  readonly refCount: number;
  readonly refs: readonly Token[];
  /**
   * It has so many references that they are no longer named: it cannot be collected before an audit
   * has cooled it.
   */
  readonly hot?: true;
  /** Names of coolers at work on the segment: while there are any, it is not collected. */
  readonly guards?: readonly string[];
  /** The data was found damaged: the next writer that has the bytes stores them again. */
  readonly damaged?: true;
  /**
   * Since when nothing references it, in ms of the server's clock. Present when `refs` is empty.
   */
  readonly since?: number;
}

/** A sidecar without the fields that each stored body sets itself. */
export type SidecarContent = Omit<Sidecar, 'v' | 'nonce' | 'refCount'>;

const SIDECAR = z.strictObject({
  v: z.literal(1),
  nonce: z.string(),
  gen: z.string().regex(/^[A-Za-z0-9_-]{12}[bt][0-9a-z]+$/),
  state: z.enum(['uploading', 'live', 'condemned', 'gone']),
  refCount: z.int().min(0),
  refs: z.array(z.string()),
  hot: z.literal(true).optional(),
  holds: z.array(z.string()).optional(),
  damaged: z.literal(true).optional(),
  since: z.number().optional(),
});

const FORMAT: JsonFormat<z.infer<typeof SIDECAR>> = { name: 'sidecar', schema: SIDECAR };

/** A live segment with more names becomes hot. */
export const HOT_REFERENCES = 256;

/** So does one after this many refusals of one change: others change it all the time. */
export const HOT_REFUSALS = 6;

export function newGeneration(
  random: string,
  encoding: SegmentEncoding,
  length: number,
): Generation {
  return `${random}${encoding === 'tokens' ? 't' : 'b'}${length.toString(36)}` as Generation;
}

/** Decodes a generation's name. */
export function parseGeneration(generation: Generation): {
  encoding: SegmentEncoding;
  length: number;
} {
  return {
    encoding: generation[12] === 't' ? 'tokens' : 'bytes',
    length: Number.parseInt(generation.slice(13), 36),
  };
}

export function tokenOf(referrer: string, attempt: AttemptId): Token {
  return `${referrer}.${attempt}` as Token;
}

export function referrerOfToken(token: Token): string {
  return token.slice(0, token.lastIndexOf('.'));
}

export function attemptOfToken(token: Token): AttemptId {
  return token.slice(token.lastIndexOf('.') + 1) as AttemptId;
}

/** @throws `INTERNAL` for content that {@link decodeSidecar} would refuse. */
export function encodeSidecar(content: SidecarContent, nonce: string): Buffer {
  const { gen, state, refs, hot, guards, damaged, since } = content;
  const whole = {
    v: 1,
    nonce,
    gen,
    state,
    refCount: refs.length,
    refs,
    hot,
    holds: guards?.length ? guards : undefined,
    damaged,
    since: refs.length === 0 ? since : undefined,
  };
  assertReadable(whole, FORMAT, 'a sidecar');
  return Buffer.from(JSON.stringify(whole));
}

/** @throws `CORRUPT`, or `UNSUPPORTED_FORMAT` for one that a newer Varve wrote. */
export function decodeSidecar(body: Uint8Array, key: string): Sidecar {
  const { holds: guards, ...rest } = decodeJson(body, FORMAT, key);
  return { ...rest, ...(guards !== undefined && { guards }) } as unknown as Sidecar;
}
