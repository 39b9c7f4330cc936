/** Tables that stay small, however large a store is, and why. */
export const SMALL: Readonly<Record<string, string>> = {
  pack: 'a row for 64 MiB',
  pack_owned: 'the packs that processes append to just now',
  run: 'a logarithm of the store',
  void: 'a row for each process that was killed, until its pack is rewritten',
  damage: 'what an audit found damaged, until it is stored again',
  report: 'the newest 1,000',
  name: 'models and applications',
  sqlite_schema: 'tables and indexes',
  sqlite_master: 'tables and indexes',
  sqlite_sequence: 'tables',
  // Part of a statement: one row.
  found: 'the extent that was found',
};

/** A statement that may pass over a large table, or sort. */
export interface Scan {
  /** How it begins. */
  readonly sql: string;
  readonly reason: string;
}

const USAGE = 'usage sums up the whole store, once a call';
const FULL = 'only a full collection or an erasure does it, once';
const AUDIT = 'an audit reads everything';
const UPGRADE = 'once, when a store of an older version is opened for writing';
const LISTED = 'once a list at most, and no more rows than MOST_ROWS in list-candidates.ts';

export const SCANS: readonly Scan[] = [
  { sql: 'SELECT count(*) FROM (SELECT 1 FROM hold LIMIT ?)', reason: LISTED },
  { sql: 'SELECT manifest.id, manifest.created FROM hold CROSS JOIN', reason: LISTED },
  { sql: 'SELECT count(*) AS count, coalesce(sum(bytes), 0)', reason: USAGE },
  { sql: 'SELECT sum(records) AS records, sum(raw) AS raw', reason: USAGE },
  { sql: 'SELECT sum(raw - dead) FROM block', reason: 'once a collection: a row for 250 records' },
  { sql: 'SELECT block.id, block.space, pack, start', reason: 'sorts the blocks to rewrite, once' },
  { sql: 'SELECT count(*) FROM manifest', reason: 'once, when the log is compacted' },
  { sql: 'SELECT id, pack, start, length FROM block WHERE space', reason: FULL },
  { sql: 'SELECT id FROM manifest', reason: FULL },
  { sql: 'DELETE FROM zone WHERE NOT EXISTS', reason: FULL },
  { sql: 'SELECT sum(records) FROM block', reason: FULL },
  { sql: 'SELECT (SELECT count(body) FROM manifest)', reason: FULL },
  { sql: 'SELECT id, space, pack, start, length FROM block', reason: AUDIT },
  { sql: 'SELECT start, length FROM block WHERE pack', reason: 'sorts the blocks of one pack' },
  { sql: 'DELETE FROM report WHERE id IN', reason: 'sorts 1,000 reports' },
  { sql: 'SELECT time, body FROM report', reason: 'sorts 1,000 reports' },
  { sql: 'INSERT OR IGNORE INTO zone SELECT', reason: UPGRADE },
];
