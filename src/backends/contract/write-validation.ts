import { type Address, addressOf } from '../../core/address.ts';
import { asInvalid, checkBytes, checkText, invalid, shown } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import {
  MANIFEST_KINDS,
  MAX_ID_BYTES,
  MAX_NAME_BYTES,
  MAX_NONCE_BYTES,
  MAX_REASON_BYTES,
  MAX_SEGMENT_BYTES,
  type ManifestFields,
  type ManifestKey,
  type ManifestKind,
  type NewEntry,
  type NewSegment,
} from './manifests.ts';
import { MAX_REPORT_BYTES, type StoredReport } from './reports.ts';

/** The longest body of an entry: what fits in a block's frame beside its references. */
const MAX_BODY_BYTES = 48 * 1024 * 1024;

/** The most bytes that a reference takes in a body. */
const REFERENCE_BYTES = 8;

/** The range of a Date, in ms before and after the epoch. */
const MAX_TIME_MS = 8.64e15;

const FIELDS: readonly string[] = [
  'application',
  'model',
  'createdAt',
  'expiresAt',
  'logicalBytes',
];

/**
 * Reads the key of a manifest, each property once.
 *
 * @throws `INVALID_ARGUMENT` unless the kind is known and the id is a well-formed string of 1 to
 *   512 bytes.
 */
export function takeKey(given: ManifestKey): ManifestKey {
  if (typeof given !== 'object' || given === null)
    throw invalid(`a key must be an object, not ${shown(given)}`);
  const { kind, id } = given;
  checkKind(kind);
  checkText('an id', id, { most: MAX_ID_BYTES });
  return { kind, id };
}

/** @throws `INVALID_ARGUMENT` unless `kind` is a kind of manifests. */
export function checkKind(kind: unknown): asserts kind is ManifestKind {
  const kinds: readonly unknown[] = MANIFEST_KINDS;
  if (!kinds.includes(kind))
    throw invalid(`a kind must be one of ${kinds.join(', ')}, not ${shown(kind)}`);
}

/**
 * Reads the fields of a manifest, each once. Times are whole milliseconds: fractions are dropped.
 *
 * @throws `INVALID_ARGUMENT` for a field of a wrong type, and for an unknown one.
 */
export function takeFields(given: Partial<ManifestFields>): Partial<ManifestFields> {
  if (typeof given !== 'object' || given === null)
    throw invalid(`fields must be an object, not ${shown(given)}`);
  for (const name of Object.keys(given)) {
    if (FIELDS.includes(name)) continue;
    throw invalid(`there is no field ${shown(name)}: there are ${FIELDS.join(', ')}`);
  }
  const { application, model, createdAt, expiresAt, logicalBytes } = given;
  // Fills one object, for speed: every conversation of an import passes here.
  const fields: { -readonly [Name in keyof ManifestFields]?: ManifestFields[Name] } = {};
  if (application !== undefined) fields.application = nameIn('application', application);
  if (model !== undefined) fields.model = nameIn('model', model);
  if (createdAt !== undefined) fields.createdAt = timeIn('createdAt', createdAt);
  if (expiresAt !== undefined) fields.expiresAt = timeIn('expiresAt', expiresAt);
  if (logicalBytes !== undefined) fields.logicalBytes = sizeIn('logicalBytes', logicalBytes);
  return fields;
}

function nameIn(field: string, value: unknown): string {
  checkText(field, value, { least: 0, most: MAX_NAME_BYTES });
  return value;
}

function timeIn(field: string, value: unknown): number {
  if (typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER)
    return Math.floor(value) + 0;
  throw invalid(`${field} must be a number of milliseconds since the epoch, not ${shown(value)}`);
}

/** @throws `INVALID_ARGUMENT` unless `value` is a number of bytes. */
export function sizeIn(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value + 0;
  throw invalid(`${field} must be a whole number of bytes from 0, not ${shown(value)}`);
}

/**
 * @throws `INVALID_ARGUMENT` unless the idempotency key is a well-formed string within the bound.
 */
export function checkNonce(nonce: unknown): asserts nonce is string {
  checkText('an idempotency key', nonce, { most: MAX_NONCE_BYTES });
}

/** @throws `INVALID_ARGUMENT` unless the reason of a hold is well-formed text within the bound. */
export function checkReason(reason: unknown): asserts reason is string {
  checkText('the reason of a hold', reason, { least: 0, most: MAX_REASON_BYTES });
}

/** @throws `INVALID_ARGUMENT` or `TOO_LARGE`. */
export function checkReport(report: StoredReport): void {
  if (typeof report !== 'object' || report === null)
    throw invalid(`a report must be an object, not ${shown(report)}`);
  const { time, body } = report;
  if (!(typeof time === 'number' && Math.abs(time) <= MAX_TIME_MS)) {
    throw invalid(`not the time of a report: ${shown(time)}`);
  }
  if (typeof body === 'string' && Buffer.byteLength(body) > MAX_REPORT_BYTES) {
    throw new VarveError('TOO_LARGE', `a report may have at most ${MAX_REPORT_BYTES} bytes`);
  }
  checkText('the body of a report', body, { least: 0, most: MAX_REPORT_BYTES });
}

/** @throws `INVALID_ARGUMENT` for an invalid name or duration. */
export function checkLease(name: unknown, ttlMs: unknown): void {
  if (typeof name !== 'string' || !/^[a-z0-9-]{1,64}$/.test(name)) {
    throw invalid(`the name of a lease must be 1 to 64 of a-z, 0-9 and "-", not ${shown(name)}`);
  }
  if (!(typeof ttlMs === 'number' && ttlMs > 0 && ttlMs <= MAX_TIME_MS)) {
    throw invalid(`a lease must last longer than 0 ms, not ${shown(ttlMs)}`);
  }
}

/** @throws `TOO_LARGE` for an entry that fits in no block. */
export function checkEntry({ body, segments }: NewEntry): void {
  const bytes = body.length + segments.length * REFERENCE_BYTES;
  if (bytes > MAX_BODY_BYTES) {
    throw new VarveError(
      'TOO_LARGE',
      `an entry may have at most ${MAX_BODY_BYTES} bytes of body and references; this one ` +
        `has ${bytes}`,
    );
  }
}

/**
 * Returns the bytes of a missing segment, checked against the writer's claims.
 *
 * @throws `NOT_FOUND` when the writer has none, `TOO_LARGE`, `INVALID_ARGUMENT`.
 */
export function checkedBytes({ address, bytes, encoding }: NewSegment): Uint8Array {
  if (bytes === null)
    throw new VarveError(
      'NOT_FOUND',
      `segment ${address} is not stored, and its writer gave no bytes for it`,
    );
  const canonical = readSource(address, bytes);
  if (canonical.length > MAX_SEGMENT_BYTES) {
    throw new VarveError(
      'TOO_LARGE',
      `a segment may have at most ${MAX_SEGMENT_BYTES} bytes; ${address} has ${canonical.length}`,
    );
  }
  if (encoding === 'tokens' && canonical.length % 4 !== 0) {
    throw invalid(`token segment ${address} has ${canonical.length} bytes, not a multiple of 4`);
  }
  const actual = addressOf(canonical);
  if (actual !== address)
    throw invalid(`a segment was given as ${address}, but its bytes hash to ${actual}`);
  return canonical;
}

/** Calls a caller's source of bytes; what it throws concerns only its write. */
export function readSource(address: Address, bytes: () => Uint8Array): Uint8Array {
  try {
    const given: unknown = bytes();
    checkBytes(`what bytes() of segment ${address} returns`, given);
    return given;
  } catch (cause) {
    throw asInvalid(`the source of the bytes of segment ${address} failed`, cause);
  }
}

/** Wraps what a write's own getters throw, which concerns only that write. */
export function asVarveError(error: unknown): VarveError {
  if (error instanceof VarveError) return error;
  return new VarveError('INVALID_ARGUMENT', 'the write could not be read', { cause: error });
}
