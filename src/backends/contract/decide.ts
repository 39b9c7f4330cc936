import { isUnreadable, VarveError } from '../../core/errors.ts';
import type {
  AppendWrite,
  DeleteWrite,
  HoldWrite,
  ManifestHold,
  PutWrite,
  Revision,
  WriteSuccess,
} from './manifests.ts';

/**
 * What a write means: decides from the stored state of its manifest whether it happens, does
 * nothing, or fails. Every backend asks here and then carries the decision out in its own way, so
 * that one write has one outcome everywhere. Pure: a backend asks again when the state turns out to
 * be another.
 */

/** The stored state that a write is judged on. A backend may look its properties up when asked. */
export interface JudgedState {
  readonly revision: Revision;
  readonly hold?: ManifestHold | undefined;
}

/** The key of a manifest, or of what a backend stores like one. */
interface Key {
  readonly kind: string;
  readonly id: string;
}

type Judged<Write> = Omit<Write, 'key' | 'operation' | 'fields' | 'entries'> & {
  readonly key: Key;
};

/**
 * Decides a put.
 *
 * @param isSame whether exactly this content is stored: the fields and the entries, but not a
 *   `createdAt` that the writer left open.
 * @throws `CONFLICT`, `ALREADY_EXISTS`, `HELD`.
 */
export function decidePut(
  write: Judged<PutWrite>,
  stored: JudgedState | undefined,
  isSame: () => boolean,
): 'created' | 'replaced' | 'unchanged' | 'skipped' {
  checkRevision(write, stored);
  if (stored === undefined) return 'created';
  if (holdsSame(write, isSame)) return 'unchanged';
  if (write.ifExists === 'skip') return 'skipped';
  if (write.ifExists === 'error') throw alreadyExists(write.key);
  checkHold(write, stored);
  return 'replaced';
}

/**
 * Decides an append.
 *
 * @param hasTaken whether the manifest took an append of that idempotency key.
 * @throws `NOT_FOUND`, `CONFLICT`.
 */
export function decideAppend<State extends JudgedState>(
  write: Judged<AppendWrite>,
  stored: State | undefined,
  hasTaken: (idempotencyKey: string, stored: State) => boolean,
): 'appended' | 'unchanged' {
  assertExists(write, stored, 'nothing can be appended to it');
  // A retry of an append that succeeded names the revision before it.
  if (write.idempotencyKey !== undefined && hasTaken(write.idempotencyKey, stored))
    return 'unchanged';
  checkRevision(write, stored);
  return 'appended';
}

/** Decides a delete. @throws `CONFLICT`, `HELD`. */
export function decideDelete(
  write: Judged<DeleteWrite>,
  stored: JudgedState | undefined,
): 'deleted' | 'absent' {
  if (stored === undefined) return 'absent';
  checkRevision(write, stored);
  checkHold(write, stored);
  return 'deleted';
}

/**
 * Decides a hold or its release; with `held` comes the hold to store.
 *
 * @param now milliseconds since the epoch.
 * @throws `NOT_FOUND`, `CONFLICT`.
 */
export function decideHold(
  write: Judged<HoldWrite>,
  stored: JudgedState | undefined,
  now: number,
):
  | { readonly status: 'held'; readonly hold: ManifestHold }
  | { readonly status: 'released' }
  | { readonly status: 'unchanged' } {
  assertExists(write, stored, 'nothing can be held');
  checkRevision(write, stored);
  const { held, reason } = write;
  const { hold: before } = stored;
  if (!held) return before === undefined ? { status: 'unchanged' } : { status: 'released' };
  const isSame = before !== undefined && (reason === undefined || reason === before.reason);
  if (isSame) return { status: 'unchanged' };
  const hold = { since: now, ...before, ...(reason !== undefined && { reason }) };
  return { status: 'held', hold };
}

/** The outcome of a write that stored no segments. */
export function outcomeWithoutSegments(
  status: WriteSuccess['status'],
  revision?: Revision,
): WriteSuccess {
  return { status, ...(revision !== undefined && { revision }), newSegments: 0, newBytes: 0 };
}

/** A manifest as messages name it. */
export function nameOf({ kind, id }: Key): string {
  return `${kind} ${JSON.stringify(id)}`;
}

/** The error of a delete, or of a put that would replace, when the manifest is held. */
export function heldError(key: Key, hold: ManifestHold): VarveError {
  const reason = hold.reason === undefined ? '' : ` (${visible(hold.reason)})`;
  return new VarveError(
    'HELD',
    `${nameOf(key)} is held since ${new Date(hold.since).toISOString()}${reason}: release the ` +
      'hold first',
  );
}

function holdsSame({ ifExists }: Judged<PutWrite>, isSame: () => boolean): boolean {
  try {
    return isSame();
  } catch (error) {
    // To replace what cannot be read is how one restores it.
    if (ifExists === 'replace' && isUnreadable(error)) return false;
    throw error;
  }
}

function assertExists<State extends JudgedState>(
  { key }: { readonly key: Key },
  stored: State | undefined,
  therefore: string,
): asserts stored is State {
  if (stored !== undefined) return;
  throw new VarveError('NOT_FOUND', `${nameOf(key)} does not exist, so ${therefore}`);
}

function checkRevision(
  { key, ifRevision }: { readonly key: Key; readonly ifRevision?: Revision },
  stored: JudgedState | undefined,
): void {
  if (ifRevision === undefined || ifRevision === stored?.revision) return;
  const state = stored === undefined ? 'does not exist' : `is at revision ${stored.revision}`;
  throw new VarveError(
    'CONFLICT',
    `${nameOf(key)} ${state}, not at revision ${ifRevision}: read it again, then decide`,
  );
}

function checkHold({ key }: { readonly key: Key }, { hold }: JudgedState): void {
  if (hold !== undefined) throw heldError(key, hold);
}

function alreadyExists(key: Key): VarveError {
  return new VarveError(
    'ALREADY_EXISTS',
    `${nameOf(key)} exists with other content: choose what to do with ifExists (skip, replace ` +
      'or append)',
  );
}

/** On one line, and without characters on which a terminal would act. */
function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
