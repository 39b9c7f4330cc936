import { type Address, addressOf } from '../address.ts';
import { VarveError } from '../errors.ts';
import { MAX_REPORT_BYTES, type StoredReport } from './maintenance.ts';
import {
  MAX_ID_BYTES,
  MAX_REASON_BYTES,
  MAX_SEGMENT_BYTES,
  type ManifestFields,
  type ManifestHold,
  type NewEntry,
  type NewSegment,
} from './manifests.ts';

/** The longest body of an entry: what a block's frame can hold beside its references. */
const MAX_BODY_BYTES = 48 * 1024 * 1024;

/** What a reference in a body takes at the most. */
const REFERENCE_BYTES = 8;

/** What a date can tell, in ms before and after the epoch. */
const MAX_TIME_MS = 8.64e15;

const MAX_NONCE_BYTES = 64;

/** @throws `INVALID_ARGUMENT` unless the id is a non-empty well-formed string within the bound. */
export function checkId({ id }: { readonly id: string }): void {
  const bytes = Buffer.byteLength(id);
  if (bytes === 0) throw new VarveError('INVALID_ARGUMENT', 'an id may not be empty');
  if (bytes > MAX_ID_BYTES) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `an id may have at most ${MAX_ID_BYTES} bytes of UTF-8; this one has ${bytes}`,
    );
  }
  // A lone surrogate has no UTF-8 form.
  if (!id.isWellFormed()) throw new VarveError('INVALID_ARGUMENT', 'an id must be well-formed Unicode');
}

/** @throws `INVALID_ARGUMENT` unless every number among the fields is finite: the index has no place for others. */
export function checkFields(fields: Partial<ManifestFields>): void {
  for (const name of ['createdAt', 'expiresAt', 'logicalBytes'] as const) {
    const value = fields[name];
    if (value === undefined || Number.isFinite(value)) continue;
    throw new VarveError('INVALID_ARGUMENT', `${name} must be a finite number, not ${value}`);
  }
}

export function checkNonce(nonce: string): void {
  const bytes = Buffer.byteLength(nonce);
  if (bytes === 0 || bytes > MAX_NONCE_BYTES) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `an idempotency key has 1 to ${MAX_NONCE_BYTES} bytes of UTF-8; this one has ${bytes}`,
    );
  }
}

/** @throws `INVALID_ARGUMENT` unless the reason of a hold is well-formed text within the bound. */
export function checkReason(reason: string): void {
  if (!reason.isWellFormed() || Buffer.byteLength(reason) > MAX_REASON_BYTES) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `the reason of a hold is well-formed Unicode of at most ${MAX_REASON_BYTES} bytes of UTF-8`,
    );
  }
}

/** @throws `INVALID_ARGUMENT` or `TOO_LARGE`. */
export function checkReport({ time, body }: StoredReport): void {
  if (!(Math.abs(time) <= MAX_TIME_MS)) throw new VarveError('INVALID_ARGUMENT', `not the time of a report: ${time}`);
  if (!body.isWellFormed()) throw new VarveError('INVALID_ARGUMENT', 'a report is well-formed Unicode');
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_REPORT_BYTES) {
    throw new VarveError('TOO_LARGE', `a report may have at most ${MAX_REPORT_BYTES} bytes; this one has ${bytes}`);
  }
}

/** @throws `INVALID_ARGUMENT` for a name or a duration that cannot be. */
export function checkLease(name: string, ttlMs: number): void {
  if (!/^[a-z0-9-]{1,64}$/.test(name)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `the name of a lease is 1 to 64 of a-z, 0-9 and "-"; not ${JSON.stringify(name)}`,
    );
  }
  if (!(ttlMs > 0 && ttlMs <= MAX_TIME_MS)) {
    throw new VarveError('INVALID_ARGUMENT', `a lease is for more than 0 ms; not ${ttlMs}`);
  }
}

/** What a delete or a put meets that would take a held manifest away. */
export function heldError(
  { kind, id }: { readonly kind: string; readonly id: string },
  hold: ManifestHold,
): VarveError {
  const reason = hold.reason === undefined ? '' : ` (${visible(hold.reason)})`;
  return new VarveError(
    'HELD',
    `${kind} ${JSON.stringify(id)} is held since ${new Date(hold.since).toISOString()}${reason}: release the hold first`,
  );
}

/** On one line, and without what a terminal would act upon. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

export function checkEntry({ body, segments }: NewEntry): void {
  const bytes = body.length + segments.length * REFERENCE_BYTES;
  if (bytes > MAX_BODY_BYTES) {
    throw new VarveError(
      'TOO_LARGE',
      `an entry may have at most ${MAX_BODY_BYTES} bytes of body and references; this one has ${bytes}`,
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
    throw new VarveError('NOT_FOUND', `segment ${address} is not stored, and its writer has no bytes for it`);
  const canonical = readSource(address, bytes);
  if (canonical.length > MAX_SEGMENT_BYTES) {
    throw new VarveError(
      'TOO_LARGE',
      `a segment may have at most ${MAX_SEGMENT_BYTES} bytes; ${address} has ${canonical.length}`,
    );
  }
  if (encoding === 'tokens' && canonical.length % 4 !== 0) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `token segment ${address} has ${canonical.length} bytes, not a multiple of 4`,
    );
  }
  const actual = addressOf(canonical);
  if (actual !== address) {
    throw new VarveError('INVALID_ARGUMENT', `a segment was handed in as ${address}, but its bytes hash to ${actual}`);
  }
  return canonical;
}

/** What a caller's source throws concerns its write alone. */
function readSource(address: Address, bytes: () => Uint8Array): Uint8Array {
  try {
    return bytes();
  } catch (cause) {
    if (cause instanceof VarveError) throw cause;
    throw new VarveError('INVALID_ARGUMENT', `the bytes of segment ${address} could not be had from their source`, {
      cause,
    });
  }
}
