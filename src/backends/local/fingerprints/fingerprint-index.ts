import type { IndexDatabase } from '../database/index-database.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { FingerprintRun } from './fingerprint-run.ts';

/** Segments are looked up by address, manifests by kind and id. */
export const SEGMENT_FINGERPRINTS = 0;
export const MANIFEST_FINGERPRINTS = 1;

/** Runs of about one size before they are merged into one. */
const FANOUT = 4;

/**
 * Only a rebuild merges runs of at least this many entries, because a merge runs inside a caller's
 * commit.
 */
const LARGEST_MERGED = 512 * 1024;

/** Runs with fewer entries belong to the smallest size class. */
const SMALLEST_CLASS = 8;

/** A rebuild is worth it when a sixteenth of all entries are of what is gone, … */
const STALE_SHARE = 16;

/** … or when a quarter of them are outside of the largest run. */
const SCATTERED_SHARE = 4;

/**
 * Finds ids by fingerprints of hashes: a log-structured merge tree (O'Neil et al., 1996) inside
 * SQLite, merged by size class.
 *
 * Every commit writes all over a B-tree keyed by hashes, which costs more the larger it grows. Here
 * a commit adds one small sorted run, and merges are sequential: each entry is rewritten about
 * log4(entries / entries per commit) times. Runs are rows, so they share the transactions and
 * snapshots of everything else.
 *
 * The ids found are candidates: fingerprints collide, and entries of removed records stay until a
 * {@link rebuild}, so the caller compares the full address or name.
 */
export class FingerprintIndex {
  readonly #database: IndexDatabase;
  readonly #space: number;
  #runs: FingerprintRun[] = [];
  #version = -1;

  constructor(database: IndexDatabase, space: number) {
    this.#database = database;
    this.#space = space;
  }

  /**
   * Loads runs that others have added. Call it at the start of every transaction with the current
   * version.
   */
  refresh(version: number): void {
    if (version === this.#version) return;
    const known = new Map(this.#runs.map((run) => [run.id, run]));
    const ids = this.#database.all<{ id: number }>(
      'SELECT id FROM run WHERE space = ? ORDER BY id',
      this.#space,
    );
    this.#runs = ids.map(({ id }) => known.get(id) ?? FingerprintRun.load(this.#database, id));
    this.#version = version;
  }

  /** Declares that the known runs are those of that version. */
  adopt(version: number): void {
    this.#version = version;
  }

  /** Forgets what a rolled-back transaction has added. */
  invalidate(): void {
    this.#runs = [];
    this.#version = -1;
  }

  /** Ids that may belong to `key`, the newest first. */
  lookup(key: number): number[] {
    const ids: number[] = [];
    for (let run = this.#runs.length - 1; run >= 0; run--)
      (this.#runs[run] as FingerprintRun).lookup(key, ids);
    return ids;
  }

  /** All entries, run by run. */
  *scan(): Generator<FingerprintEntry, void, undefined> {
    for (const run of this.#runs) yield* run.scan();
  }

  /** Adds entries, in any order. Returns whether there were any. Only in a write transaction. */
  add(entries: FingerprintEntry[]): boolean {
    if (entries.length === 0) return false;
    entries.sort(byKey);
    this.#runs.push(FingerprintRun.write(this.#database, this.#space, entries.length, entries));
    for (
      let crowded = this.#crowdedClass();
      crowded !== undefined;
      crowded = this.#crowdedClass()
    ) {
      this.#merge(crowded, () => true);
    }
    return true;
  }

  /**
   * Merges all runs into one and drops the entries whose id is not `isAlive`. Only in a write
   * transaction.
   */
  rebuild(isAlive: (id: number) => boolean): void {
    if (this.#runs.length > 0) this.#merge(this.#runs, isAlive);
  }

  /** Whether a {@link rebuild} is worth it, for so many ids that are not gone. */
  isWasteful(alive: number): boolean {
    const { entries } = this;
    const largest = Math.max(0, ...this.#runs.map((run) => run.entries));
    return (
      (entries - alive) * STALE_SHARE > entries || (entries - largest) * SCATTERED_SHARE > entries
    );
  }

  get entries(): number {
    return this.#runs.reduce((total, run) => total + run.entries, 0);
  }

  #crowdedClass(): FingerprintRun[] | undefined {
    const classes = new Map<number, FingerprintRun[]>();
    for (const run of this.#runs) {
      if (run.entries >= LARGEST_MERGED) continue;
      const size = Math.max(
        0,
        Math.floor(Math.log(run.entries / SMALLEST_CLASS) / Math.log(FANOUT)),
      );
      const peers = classes.get(size) ?? [];
      peers.push(run);
      if (peers.length === FANOUT) return peers;
      classes.set(size, peers);
    }
    return undefined;
  }

  #merge(runs: readonly FingerprintRun[], isAlive: (id: number) => boolean): void {
    const merged = new Set(runs);
    const count = runs.reduce((total, run) => total + run.entries, 0);
    const result = FingerprintRun.write(
      this.#database,
      this.#space,
      count,
      mergeRuns(runs, isAlive),
    );
    for (const run of runs) run.remove();
    this.#runs = this.#runs.filter((run) => !merged.has(run));
    this.#runs.push(result);
  }
}

/** Merges a few sorted runs by picking the smallest head each time. */
function* mergeRuns(
  runs: readonly FingerprintRun[],
  isAlive: (id: number) => boolean,
): Generator<FingerprintEntry, void, undefined> {
  const scans = runs.map((run) => run.scan());
  const heads = scans.map((scan) => scan.next().value ?? undefined);
  for (;;) {
    let smallest = -1;
    for (let run = 0; run < heads.length; run++) {
      const head = heads[run];
      if (
        head !== undefined &&
        (smallest < 0 || head.key < (heads[smallest] as FingerprintEntry).key)
      )
        smallest = run;
    }
    if (smallest < 0) return;
    const entry = heads[smallest] as FingerprintEntry;
    if (isAlive(entry.id)) yield entry;
    heads[smallest] =
      (scans[smallest] as Generator<FingerprintEntry, void, undefined>).next().value ?? undefined;
  }
}

function byKey(a: FingerprintEntry, b: FingerprintEntry): number {
  return a.key - b.key;
}
