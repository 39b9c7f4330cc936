/**
 * Spaces of record ids. Segments are counted and found by address; manifests name their bodies; a
 * record of the log has the number of its commit as id.
 */
export const SEGMENTS = 0;
export const BODIES = 1;
export const LOG = 2;
export type Space = typeof SEGMENTS | typeof BODIES | typeof LOG;

/** The name of a record for messages. */
export function recordName(space: Space, id: number): string {
  return `${['segment', 'manifest body', 'log'][space]} record ${id}`;
}

/** Marks the index as Varve's in the SQLite header: "VRVE". */
export const APPLICATION_ID = 0x56525645;

/** Version of the directory's format: of this schema, of blocks and of their content. */
export const FORMAT_VERSION = 3;

/** The entry of `header` that marks the index of a backup to which nobody has written. */
export const BACKUP_MARK = 'backup';

/**
 * The entry of `header` with the store's creation time, which its backups and stores restored from
 * them keep.
 */
export const CREATED = 'created';

/**
 * Numbers of manifest kinds in the index. `upload` is internal: the entries that a stream has
 * stored so far.
 */
export const KIND_NUMBERS = { conversation: 0, blob: 1, pin: 2, upload: 3 } as const;

/**
 * Count of a record that nothing references any more and that a sweep has condemned: never read or
 * counted again.
 */
export const SWEPT = -1;

/**
 * Segments that an audit found damaged, by record id: the next put of the same bytes stores them
 * again under that id.
 */
export const DAMAGE_TABLE = 'CREATE TABLE damage (record INTEGER PRIMARY KEY);';

/**
 * Bytes of packs that belong to no commit, because a writer died before its commit. Nobody writes
 * there again. stated: whether a record of the log says so.
 */
export const VOID_TABLE = `
  CREATE TABLE void (
    pack INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    stated INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (pack, start)
  ) WITHOUT ROWID;
`;

/** Packs to which a process may be appending; every commit checks them. */
export const OWNED_PACKS =
  'CREATE INDEX pack_owned ON pack (id) WHERE sealed = 0 AND owner IS NOT NULL;';

/**
 * Manifests that are held: row id, since when (ms), and why. Not in {@link SCHEMA}, because a store
 * from before there were holds gets the table with its first hold.
 */
export const HOLD_TABLE = `
  CREATE TABLE IF NOT EXISTS hold (manifest INTEGER PRIMARY KEY, since INTEGER NOT NULL, reason TEXT);
`;

/** Reports of maintenance runs: start (ms), and JSON. Not in the schema for the same reason. */
export const REPORT_TABLE = `
  CREATE TABLE IF NOT EXISTS report (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, body TEXT NOT NULL);
`;

/** Leases on work: holder, and end (ms). Not in the schema for the same reason. */
export const LEASE_TABLE = `
  CREATE TABLE IF NOT EXISTS lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Rows of `manifest`, by id, that make a zone. */
export const ZONE_ROWS = 64;

/**
 * Zones with manifests that have a name as application or model, or had it: what a list by a rare
 * name looks at. Kept by triggers, so that versions that do not know the table keep it, too. Not in
 * the schema, because a store of such a version gets it when it is opened for writing.
 */
export const ZONE_TABLE = `
  CREATE TABLE IF NOT EXISTS zone (name INTEGER NOT NULL, zone INTEGER NOT NULL, PRIMARY KEY (name, zone)) WITHOUT ROWID;
  CREATE TRIGGER IF NOT EXISTS zone_insert AFTER INSERT ON manifest BEGIN
    INSERT OR IGNORE INTO zone SELECT new.application, new.id / ${ZONE_ROWS} WHERE new.application IS NOT NULL;
    INSERT OR IGNORE INTO zone SELECT new.model, new.id / ${ZONE_ROWS} WHERE new.model IS NOT NULL;
  END;
  CREATE TRIGGER IF NOT EXISTS zone_update AFTER UPDATE OF application, model ON manifest BEGIN
    INSERT OR IGNORE INTO zone SELECT new.application, new.id / ${ZONE_ROWS} WHERE new.application IS NOT old.application;
    INSERT OR IGNORE INTO zone SELECT new.model, new.id / ${ZONE_ROWS} WHERE new.model IS NOT old.model;
  END;
`;

/** Enters the zones of all manifests that there are. */
export const FILL_ZONES = `
  INSERT OR IGNORE INTO zone SELECT application, id / ${ZONE_ROWS} FROM manifest WHERE application IS NOT NULL;
  INSERT OR IGNORE INTO zone SELECT model, id / ${ZONE_ROWS} FROM manifest WHERE model IS NOT NULL;
`;

/**
 * The schema of the index. Integers are narrow on purpose (SQLite stores 0, 1 and NULL in no
 * bytes), and no segment has a row: one `block` row covers hundreds, found by the first record id
 * of its `extent`.
 */
export const SCHEMA = `
  -- next_segment, next_body: next record id of each space; epoch: bumped whenever a record may have
  -- become unreadable or moved, or a name forgotten; erasures: bumped when caches are to be dropped;
  -- runs: bumped whenever the set of fingerprint runs changes; created: ms since the epoch; backup:
  -- when this backup was made, ms, until somebody writes to it. log, log_floor, log_waste, log_run,
  -- log_row: see log/log-state.ts. Called \`meta\` up to format 2: what of these versions is still
  -- open fails at its next transaction.
  CREATE TABLE "header" (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

  -- Models and applications, spelled once.
  CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

  -- Append-only files. owner: the writer lock of the process that may append; NULL when nobody may.
  -- size: committed bytes; what lies behind is the junk of a commit that did not happen.
  CREATE TABLE pack (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT, sealed INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0
  );

  -- Compressed blocks inside packs. raw: bytes of its records before compression; dead: of those, swept.
  CREATE TABLE block (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, pack INTEGER NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, raw INTEGER NOT NULL, records INTEGER NOT NULL, dead INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX block_pack ON block (pack);

  -- Record ids from first up to the next extent's first are in this block, or nowhere.
  CREATE TABLE extent (
    space INTEGER NOT NULL, first INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (space, first)
  ) WITHOUT ROWID;
  CREATE INDEX extent_block ON extent (block);

  -- Only records whose count of references is not 1. refs 0: garbage since that time (ms); -1: swept.
  CREATE TABLE state (
    space INTEGER NOT NULL, record INTEGER NOT NULL, refs INTEGER NOT NULL, since INTEGER, PRIMARY KEY (space, record)
  ) WITHOUT ROWID;
  CREATE INDEX state_garbage ON state (since) WHERE refs = 0;

  -- name: the id in UTF-8. updated: NULL means as created. revision: NULL means 1. body: record id of the first entry, unless that is in the table of
  -- entries. entries: how many; NULL: 1 with a body, else 0.
  CREATE TABLE manifest (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, name BLOB NOT NULL, application INTEGER,
    model INTEGER, created INTEGER NOT NULL, updated INTEGER, expires INTEGER, bytes INTEGER NOT NULL,
    revision INTEGER, entries INTEGER, body INTEGER
  );
  CREATE INDEX manifest_created ON manifest (kind, created);
  CREATE INDEX manifest_other ON manifest (kind, id) WHERE kind <> 0;
  CREATE INDEX manifest_expires ON manifest (expires) WHERE expires IS NOT NULL;

  -- The entries of a manifest that are not in its row. nonce: idempotency key of the append that begins here.
  CREATE TABLE entry (
    manifest INTEGER NOT NULL, number INTEGER NOT NULL, body INTEGER NOT NULL, nonce BLOB,
    PRIMARY KEY (manifest, number)
  ) WITHOUT ROWID;
  CREATE INDEX entry_nonce ON entry (manifest, nonce) WHERE nonce IS NOT NULL;

  -- Sorted runs of (fingerprint, id), see fingerprint-index.ts. pages are rows first_page … first_page + pages - 1.
  CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, entries INTEGER NOT NULL,
    first_page INTEGER NOT NULL, pages INTEGER NOT NULL, fences BLOB NOT NULL, filter BLOB
  );
  CREATE TABLE run_page (id INTEGER PRIMARY KEY AUTOINCREMENT, entries BLOB NOT NULL);

  ${VOID_TABLE}${OWNED_PACKS}${DAMAGE_TABLE}${HOLD_TABLE}${REPORT_TABLE}${LEASE_TABLE}${ZONE_TABLE}`;
