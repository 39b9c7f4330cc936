import { type Address, addressOf } from '../../core/address.ts';
import { asInvalid, checkBytes, checkText, invalid, shown } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import { MAX_REPORT_BYTES, type StoredReport } from './maintenance.ts';
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

/** The longest body of an entry: what a block's frame can hold beside its references. */
const MAX_BODY_BYTES = 48 * 1024 * 1024;

/** What a reference in a body takes at the most. */
const REFERENCE_BYTES = 8;

/** What a date can tell, in ms before and after the epoch. */
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
 * @throws `INVALID_ARGUMENT` unless the kind is one and the id a well-formed string of 1 to 512
 *   bytes.
 */
export function takeKey(given: ManifestKey): ManifestKey {
  if (typeof given !== 'object' || given === null)
    throw invalid(`a key is an object; not ${shown(given)}`);
  const { kind, id } = given;
  checkKind(kind);
  checkText('an id', id, { most: MAX_ID_BYTES });
  return { kind, id };
}

/** @throws `INVALID_ARGUMENT` unless `kind` is a kind of manifests. */
export function checkKind(kind: unknown): asserts kind is ManifestKind {
  const kinds: readonly unknown[] = MANIFEST_KINDS;
  if (!kinds.includes(kind)) throw invalid(`a kind is ${kinds.join(', ')}; not ${shown(kind)}`);
}

/**
 * Reads the fields of a manifest, each once. Times are whole milliseconds: fractions are cut off.
 *
 * @throws `INVALID_ARGUMENT` for a field of a wrong type, and for one that there is not.
 */
export function takeFields(given: Partial<ManifestFields>): Partial<ManifestFields> {
  if (typeof given !== 'object' || given === null)
    throw invalid(`fields are an object; not ${shown(given)}`);
  for (const name of Object.keys(given)) {
    if (FIELDS.includes(name)) continue;
    throw invalid(`there is no field ${shown(name)}: there are ${FIELDS.join(', ')}`);
  }
  const { application, model, createdAt, expiresAt, logicalBytes } = given;
  // One object, filled: every conversation of an import comes by here.
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
  throw invalid(`${field} is a number of milliseconds since the epoch; not ${shown(value)}`);
}

/** @throws `INVALID_ARGUMENT` unless `value` is a number of bytes. */
export function sizeIn(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value + 0;
  throw invalid(`${field} is a whole number of bytes from 0 on; not ${shown(value)}`);
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
    throw invalid(`a report is an object; not ${shown(report)}`);
  const { time, body } = report;
  if (!(typeof time === 'number' && Math.abs(time) <= MAX_TIME_MS)) {
    throw invalid(`not the time of a report: ${shown(time)}`);
  }
  if (typeof body === 'string' && Buffer.byteLength(body) > MAX_REPORT_BYTES) {
    throw new VarveError('TOO_LARGE', `a report may have at most ${MAX_REPORT_BYTES} bytes`);
  }
  checkText('the body of a report', body, { least: 0, most: MAX_REPORT_BYTES });
}

/** @throws `INVALID_ARGUMENT` for a name or a duration that cannot be. */
export function checkLease(name: unknown, ttlMs: unknown): void {
  if (typeof name !== 'string' || !/^[a-z0-9-]{1,64}$/.test(name)) {
    throw invalid(`the name of a lease is 1 to 64 of a-z, 0-9 and "-"; not ${shown(name)}`);
  }
  if (!(typeof ttlMs === 'number' && ttlMs > 0 && ttlMs <= MAX_TIME_MS)) {
    throw invalid(`a lease is for more than 0 ms; not ${shown(ttlMs)}`);
  }
}

/** @throws `TOO_LARGE` for an entry that no block could hold. */
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
 * The bytes of a segment that is missing, checked against what the writer says of them.
 *
 * @throws `NOT_FOUND` when the writer has none, `TOO_LARGE`, `INVALID_ARGUMENT`.
 */
export function checkedBytes({ address, bytes, encoding }: NewSegment): Uint8Array {
  if (bytes === null)
    throw new VarveError(
      'NOT_FOUND',
      `segment ${address} is not stored, and its writer has no bytes for it`,
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
    throw invalid(`a segment was handed in as ${address}, but its bytes hash to ${actual}`);
  return canonical;
}

/** What a caller's source gives; what it throws concerns its write alone. */
export function readSource(address: Address, bytes: () => Uint8Array): Uint8Array {
  try {
    const given: unknown = bytes();
    checkBytes(`what bytes() of segment ${address} returns`, given);
    return given;
  } catch (cause) {
    throw asInvalid(`the bytes of segment ${address} could not be had from their source`, cause);
  }
}

/** What a write's own getters throw concerns that write alone. */
export function asVarveError(error: unknown): VarveError {
  if (error instanceof VarveError) return error;
  return new VarveError('INVALID_ARGUMENT', 'the write could not be read', { cause: error });
}
