/** The content of a log record: what one commit did to manifests, in that order. */

/** The fields of a manifest after an operation, as in its row. */
export interface LoggedState {
  readonly application: string | null;
  readonly model: string | null;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly updated: number;
  readonly expires: number | null;
  /** Logical bytes. */
  readonly bytes: number;
  readonly revision: number;
}

/**
 * Entries of a manifest: the record ids of their bodies, and idempotency keys by position in this
 * list.
 */
export interface LoggedEntries {
  readonly bodies: readonly number[];
  readonly nonces: readonly (readonly [number, Uint8Array])[];
}

/**
 * A manifest's whole state; `dropped` are the bodies of the previous state, when it replaces one.
 */
export interface PutOperation {
  readonly type: 'put';
  readonly row: number;
  /** As in `KIND_NUMBERS`. */
  readonly kind: number;
  /** The id in UTF-8. */
  readonly name: Uint8Array;
  readonly state: LoggedState;
  readonly entries: LoggedEntries;
  readonly dropped: readonly number[];
}

/** The entries from position `from` on, and all fields as they are afterwards. */
export interface AppendOperation {
  readonly type: 'append';
  readonly row: number;
  readonly from: number;
  readonly state: LoggedState;
  readonly entries: LoggedEntries;
}

export interface DeleteOperation {
  readonly type: 'delete';
  readonly row: number;
  readonly dropped: readonly number[];
}

export interface HoldOperation {
  readonly type: 'hold';
  readonly row: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly reason: string | null;
}

export interface ReleaseOperation {
  readonly type: 'release';
  readonly row: number;
}

export type LogOperation =
  | PutOperation
  | AppendOperation
  | DeleteOperation
  | HoldOperation
  | ReleaseOperation;

/** A range of bytes in a pack. */
export interface PackSpan {
  readonly pack: number;
  readonly start: number;
  readonly length: number;
}

/** Rows that existed before a record and that it deleted, or changed otherwise. */
export interface TouchedRows {
  readonly deleted: readonly number[];
  readonly changed: readonly number[];
}

/** A record of the log. Its number is its record id; numbers are consecutive, without gaps. */
export interface LogRecord {
  /** A very large commit has several records: the number of those before this one. */
  readonly part: number;
  /** Whether another record of the same commit follows. */
  readonly isContinued: boolean;
  /**
   * Records below this number add nothing to later ones; 0: the log does not reach back to all
   * manifests.
   */
  readonly floor: number;
  /** The next body id before the commit. */
  readonly firstBody: number;
  /** Bytes that belong to no commit, see invariant L7. */
  readonly voids: readonly PackSpan[];
  /**
   * What the previous record touched, in case that one is lost; `undefined` when it could not be
   * read.
   */
  readonly touchedBefore: TouchedRows | undefined;
  /**
   * In a snapshot: its puts are all manifests among the rows from `first` to `end` (exclusive; 0:
   * no end).
   */
  readonly covers: { readonly first: number; readonly end: number } | undefined;
  readonly operations: readonly LogOperation[];
}

/** What an operation touched, to be repeated in the next record. */
export function touchedBy(operations: readonly LogOperation[]): TouchedRows {
  const deleted = new Set<number>();
  const changed = new Set<number>();
  const added = new Set<number>();
  for (const operation of operations) {
    const { type, row } = operation;
    if (type === 'put' && operation.state.revision === 1) added.add(row);
    if (type === 'delete') {
      deleted.add(row);
      changed.delete(row);
    } else if (!added.has(row)) changed.add(row);
  }
  return { deleted: [...deleted], changed: [...changed] };
}
