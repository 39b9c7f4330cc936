import { hash } from 'node:crypto';
import type { Address } from '../../../core/address.ts';
import { name } from '../../../core/name.ts';
import type { ManifestKey, ManifestKind } from '../../contract/manifests.ts';
import type { Generation } from './sidecar.ts';

/**
 * Keys of all objects below the store's prefix. A sidecar sorts right before the data of its
 * segment, and the 64 digits of an address split the keyspace evenly.
 */
export const DESCRIPTOR_KEY = name('varve.json');
export const SEGMENTS_PREFIX = 'segments/';
export const MANIFESTS_PREFIX = 'manifests/';
export const HINTS_PREFIX = 'hints/';
export const GARBAGE_HINTS_PREFIX = 'hints/releases/';
export const WRITER_HINTS_PREFIX = 'hints/writers/';
export const EXPIRY_HINTS_PREFIX = 'hints/expiries/';
export const DAMAGE_HINTS_PREFIX = 'hints/damaged/';
export const JOURNALS_PREFIX = 'journal/';
export const REPORTS_PREFIX = 'reports/';
/** What was counted last. */
export const USAGE_KEY = name('index/usage.json');
const LEASES_PREFIX = 'leases/';

const SIDECAR_SUFFIX = '.meta';

/**
 * Longest escaped id in a key; a longer one is replaced by its hash. S3 keys have at most 1,024
 * bytes, prefix included.
 */
const MAX_ESCAPED_ID = 200;

export function sidecarKey(address: Address): string {
  return name(`${SEGMENTS_PREFIX}${address}${SIDECAR_SUFFIX}`);
}

export function segmentKey(address: Address, generation: Generation): string {
  return name(`${SEGMENTS_PREFIX}${address}/${generation}`);
}

export function manifestsPrefix(kind: ManifestKind): string {
  return `${MANIFESTS_PREFIX}${kind}/`;
}

export function rollupsPrefix(kind: ManifestKind): string {
  return `index/${kind}/`;
}

export function rollupKey(kind: ManifestKind, nonce: string): string {
  return name(`${rollupsPrefix(kind)}${nonce}`);
}

export function journalsPrefix(kind: ManifestKind): string {
  return `${JOURNALS_PREFIX}${kind}/`;
}

/** A journal of coming changes of manifests of one kind. */
export function journalKey(kind: ManifestKind, nonce: string): string {
  return name(`${journalsPrefix(kind)}${nonce}`);
}

/** A journal with what an erasure left of another one, which sorts before it. */
export function rewrittenJournalKey(key: string): string {
  return name(`${key}~`);
}

/** Names the pages of heads that lists read. */
export function catalogKey(kind: ManifestKind): string {
  return name(`catalog/${kind}`);
}

export function headPagesPrefix(kind: ManifestKind): string {
  return `heads/${kind}/`;
}

export function headPageKey(kind: ManifestKind, nonce: string): string {
  return name(`${headPagesPrefix(kind)}${nonce}`);
}

export function writerHintKey(nonce: string): string {
  return name(`${WRITER_HINTS_PREFIX}${nonce}`);
}

export function garbageHintKey(nonce: string): string {
  return name(`${GARBAGE_HINTS_PREFIX}${nonce}.json`);
}

export function damageHintKey(address: Address): string {
  return name(`${DAMAGE_HINTS_PREFIX}${address}`);
}

/** Sorts as the times do, which are ms since the epoch; earlier times have passed anyway. */
export function expiryPrefix(expiresAt: number): string {
  const ms = Math.min(Math.max(0, Math.ceil(expiresAt)), Number.MAX_SAFE_INTEGER);
  return `${EXPIRY_HINTS_PREFIX}${String(ms).padStart(16, '0')}`;
}

export function expiryHintKey(key: ManifestKey, expiresAt: number): string {
  return name(`${expiryPrefix(expiresAt)}-${referrerOf(manifestObjectKey(key))}`);
}

/** Sorts as the times do, which are ms since the epoch. */
export function reportKey(time: number, nonce: string): string {
  return name(`${REPORTS_PREFIX}${new Date(time).toISOString()}-${nonce}.json`);
}

export function leaseKey(lease: string): string {
  return name(`${LEASES_PREFIX}${encodeURIComponent(lease)}.json`);
}

/** An injective name: no two ids share one, even where names are compared case-insensitively. */
export function manifestObjectKey({ kind, id }: ManifestKey): string {
  const escaped = escapeId(id);
  const file =
    escaped.length <= MAX_ESCAPED_ID ? escaped : `=x${hash('sha256', id, 'hex').slice(0, 48)}`;
  return name(`${manifestsPrefix(kind)}${file}.json`);
}

/** The manifest of an object's key; `undefined` when the key contains only a hash of the id. */
export function manifestOfObjectKey(objectKey: string): ManifestKey | undefined {
  const match = /^manifests\/(conversation|blob|pin)\/((?:[a-z0-9_.-]|=[0-9a-f]{2})+)\.json$/.exec(
    objectKey,
  );
  if (match === null) return undefined;
  const [, kind, escaped = ''] = match;
  const hex = escaped.replaceAll(/=[0-9a-f]{2}|./g, (part) =>
    part.length === 3 ? part.slice(1) : part.charCodeAt(0).toString(16),
  );
  return { kind: kind as ManifestKind, id: Buffer.from(hex, 'hex').toString('utf8') };
}

/** What a key below `segments/` names; `undefined` for objects that Varve did not put there. */
export function parseSegmentKey(
  key: string,
): { address: Address; generation: Generation | undefined } | undefined {
  const match = /^segments\/([0-9a-f]{64})(?:\.meta|\/([A-Za-z0-9_-]+))$/.exec(key);
  if (match === null) return undefined;
  return { address: match[1] as Address, generation: match[2] as Generation | undefined };
}

/** Names a manifest in tokens: 96 bits of the SHA-256 of its object's key. */
export function referrerOf(objectKey: string): string {
  return (hash('sha256', objectKey, 'buffer') as Buffer).subarray(0, 12).toString('base64url');
}

/**
 * Lower-case letters, digits, `-` and `_` stay as they are, and so does a dot between two of them;
 * every other byte becomes `=` and two hex digits.
 */
function escapeId(id: string): string {
  let escaped = '';
  for (const byte of Buffer.from(id, 'utf8')) {
    const character = String.fromCharCode(byte);
    const isPlain =
      /[a-z0-9_-]/.test(character) || (character === '.' && /[a-z0-9_-]$/.test(escaped));
    escaped += isPlain ? character : `=${byte.toString(16).padStart(2, '0')}`;
  }
  return escaped;
}
