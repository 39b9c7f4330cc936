import type { IndexDatabase } from '../database/index-database.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { FingerprintRun } from './fingerprint-run.ts';

/** What is looked up: segments by their address, manifests by their kind and id. */
export const SEGMENT_FINGERPRINTS = 0;
export const MANIFEST_FINGERPRINTS = 1;

/** How many runs of about one size there may be before they are merged into one. */
const FANOUT = 4;

/**
 * Runs from this many entries on are only merged by a rebuild: a merge happens inside somebody's
 * commit.
 */
const LARGEST_MERGED = 512 * 1024;

/** Runs below this many entries are all of the smallest size class. */
const SMALLEST_CLASS = 8;

/**
 * Finds ids by fingerprints of hashes: a log-structured merge tree (O'Neil et al., 1996) inside
 * SQLite, merged by size class.
 *
 * A B-tree keyed by hashes is written all over by every commit, which costs more the larger it
 * grows. Here a commit adds one small sorted run, and runs are merged in sequence: each entry is
 * rewritten about log4(entries / entries a commit) times, in sequence. Being rows, runs share the
 * transactions and snapshots of everything else.
 *
 * The ids found are candidates: fingerprints collide, and entries of what was removed stay until a
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
   * Takes note of runs made by others. To be called at the start of every transaction, with the
   * current version.
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

  /** The runs this instance knows are those of that version. */
  adopt(version: number): void {
    this.#version = version;
  }

  /** Forgets what a transaction that was rolled back has done. */
  invalidate(): void {
    this.#runs = [];
    this.#version = -1;
  }

  /** Ids that may belong to `key`, the latest first. */
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

  /**
   * Adds entries, in any order, and returns whether any were added. Only in a write transaction.
   */
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
   * Merges all runs into one and drops the entries whose id `isAlive` denies. Only in a write
   * transaction.
   */
  rebuild(isAlive: (id: number) => boolean): void {
    if (this.#runs.length > 0) this.#merge(this.#runs, isAlive);
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

/** Merges sorted runs, a few of them, by looking for the smallest head each time. */
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
