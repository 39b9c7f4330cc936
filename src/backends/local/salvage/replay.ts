import { IdSet } from '../../../core/collections/id-set.ts';
import type { LoggedState, LogOperation, LogRecord } from '../format/log-record.ts';
import type { LogSelection } from './log-selection.ts';

/** A manifest as the log states it. */
export interface ReplayedManifest {
  readonly row: number;
  readonly kind: number;
  readonly name: Uint8Array;
  state: LoggedState;
  readonly bodies: number[];
  /** Idempotency keys by the number of the entry. */
  readonly nonces: Map<number, Uint8Array>;
  hold: { readonly since: number; readonly reason: string | null } | undefined;
  /** Why this may be outdated, or deleted. */
  doubt: string | undefined;
}

/** The result of a replay. */
export interface Replay {
  readonly manifests: ReplayedManifest[];
  /** Bodies of manifests that were deleted or replaced. */
  readonly dropped: IdSet;
  /**
   * Bodies that may belong to manifests whose records are all lost: ids from `first` up to `end`.
   */
  readonly unknown: readonly { readonly first: number; readonly end: number }[];
  /** Sentences about lost parts of the log. */
  readonly losses: readonly string[];
  /** The largest row id in the log. */
  readonly lastRow: number;
}

const EVERYTHING = { first: 0, end: Number.POSITIVE_INFINITY };

/** Replays the log: the newest operation on a manifest wins, and deleted manifests stay deleted. */
export function replayLog(selection: LogSelection): Replay {
  return new Replayer(selection).run();
}

class Replayer {
  readonly #selection: LogSelection;
  readonly #manifests = new Map<number, ReplayedManifest>();
  readonly #dropped = new IdSet();
  readonly #unknown: { first: number; end: number }[] = [];
  readonly #losses: string[] = [];
  /** The first row that no snapshot at the beginning of the log covers. */
  #covered: number;
  #nextBody = 0;
  #lastRow = 0;

  constructor(selection: LogSelection) {
    this.#selection = selection;
    // A log that begins with the store's first commit needs no snapshot.
    this.#covered = selection.floor > 1 ? 0 : Number.POSITIVE_INFINITY;
  }

  run(): Replay {
    const { records, floor, newest } = this.#selection;
    if (floor === 0) {
      this.#losses.push(
        'the log does not reach back to all manifests: the store was made by an older Varve',
      );
      this.#unknown.push(EVERYTHING);
    }
    for (let number = Math.max(1, floor); number <= newest; number++) {
      const record = records.get(number);
      if (record !== undefined) this.#apply(record);
      else number = this.#skip(number);
    }
    if (this.#covered !== Number.POSITIVE_INFINITY) {
      this.#losses.push('the snapshot that the log begins with is not whole');
      this.#unknown.push(EVERYTHING);
    }
    this.#dropNamesakes();
    return {
      manifests: [...this.#manifests.values()].sort((a, b) => a.row - b.row),
      dropped: this.#dropped,
      unknown: this.#unknown,
      losses: this.#losses,
      lastRow: this.#lastRow,
    };
  }

  /** Skips lost records; returns the number of the last one. */
  #skip(first: number): number {
    const { records, newest } = this.#selection;
    let last = first;
    while (last < newest && !records.has(last + 1)) last++;
    const next = records.get(last + 1);
    const what =
      first === last
        ? `record ${first} of the log is`
        : `records ${first} to ${last} of the log are`;
    this.#losses.push(`${what} lost`);
    this.#unknown.push({ first: this.#nextBody, end: next?.firstBody ?? Number.POSITIVE_INFINITY });
    const touched = next?.touchedBefore;
    if (first !== last || touched === undefined) {
      for (const manifest of this.#manifests.values())
        manifest.doubt ??= `${what} lost: it may have been changed or deleted there`;
    }
    for (const row of touched?.deleted ?? []) this.#manifests.delete(row);
    for (const row of touched?.changed ?? []) {
      const manifest = this.#manifests.get(row);
      if (manifest !== undefined) manifest.doubt = `${what} lost, which changed it`;
    }
    return last;
  }

  #apply({ firstBody, covers, operations }: LogRecord): void {
    this.#nextBody = Math.max(this.#nextBody, firstBody);
    if (covers !== undefined) {
      const end = covers.end === 0 ? Number.POSITIVE_INFINITY : covers.end;
      for (const row of this.#manifests.keys())
        if (row >= covers.first && row < end) this.#manifests.delete(row);
      if (covers.first <= this.#covered) this.#covered = Math.max(this.#covered, end);
    }
    for (const operation of operations) {
      this.#lastRow = Math.max(this.#lastRow, operation.row);
      if ('dropped' in operation) for (const body of operation.dropped) this.#dropped.add(body);
      if ('entries' in operation) {
        for (const body of operation.entries.bodies)
          this.#nextBody = Math.max(this.#nextBody, body + 1);
      }
      this.#operate(operation);
    }
  }

  #operate(operation: LogOperation): void {
    const { row } = operation;
    const manifest = this.#manifests.get(row);
    switch (operation.type) {
      case 'put': {
        const { kind, name, state, entries } = operation;
        this.#manifests.set(row, {
          row,
          kind,
          name,
          state,
          bodies: [...entries.bodies],
          nonces: new Map(entries.nonces),
          // A held manifest is neither replaced nor deleted.
          hold: undefined,
          doubt: undefined,
        });
        return;
      }
      case 'append': {
        if (manifest === undefined) {
          this.#unknown.push(
            ...operation.entries.bodies.map((body) => ({ first: body, end: body + 1 })),
          );
          return;
        }
        manifest.state = operation.state;
        if (manifest.bodies.length !== operation.from) {
          manifest.doubt ??= 'entries before its last ones are lost';
          return;
        }
        for (const [at, nonce] of operation.entries.nonces)
          manifest.nonces.set(operation.from + at, nonce);
        for (const body of operation.entries.bodies) manifest.bodies.push(body);
        return;
      }
      case 'delete':
        this.#manifests.delete(row);
        return;
      case 'hold':
        if (manifest !== undefined)
          manifest.hold = { since: operation.since, reason: operation.reason };
        return;
      case 'release':
        if (manifest !== undefined) manifest.hold = undefined;
        return;
    }
  }

  /** An id gets a new row only after its previous row was deleted. */
  #dropNamesakes(): void {
    const newest = new Map<string, number>();
    for (const { row, kind, name } of this.#manifests.values()) {
      const key = `${kind} ${Buffer.from(name).toString('utf8')}`;
      const other = newest.get(key);
      if (other !== undefined) this.#manifests.delete(Math.min(row, other));
      newest.set(key, Math.max(row, other ?? 0));
    }
  }
}
