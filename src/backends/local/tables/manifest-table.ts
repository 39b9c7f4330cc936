import { hash } from 'node:crypto';
import type {
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  Revision,
} from '../../contract/manifests.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import type { FingerprintIndex } from '../fingerprints/fingerprint-index.ts';
import { FINGERPRINT_BITS, type FingerprintEntry } from '../format/fingerprint.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import type { HoldTable } from './hold-table.ts';
import type { NameTable } from './name-table.ts';

/** Kinds of local manifests: those of the interface, and unfinished streams. */
export type LocalKind = ManifestKind | 'upload';

export interface LocalKey {
  readonly kind: LocalKind;
  readonly id: string;
}

/** A row of the manifest table. */
export interface ManifestRow {
  readonly id: number;
  readonly kind: number;
  readonly name: Buffer;
  readonly application: number | null;
  readonly model: number | null;
  readonly created: number;
  /** NULL: equal to `created`. */
  readonly updated: number | null;
  readonly expires: number | null;
  readonly bytes: number;
  /** NULL: 1. */
  readonly revision: number | null;
  /** Number of entries; NULL: 1 with a `body`, otherwise 0. */
  readonly entries: number | null;
  /**
   * Record id of the first entry's body; NULL when there are no entries, or all are in the entry
   * table.
   */
  readonly body: number | null;
}

/** How many entries a manifest has. */
export function countEntries({ body, entries }: ManifestRow): number {
  return entries ?? (body === null ? 0 : 1);
}

const KINDS = Object.keys(KIND_NUMBERS) as LocalKind[];

/** The key of a row. */
export function keyOf({
  kind,
  name,
}: {
  readonly kind: number;
  readonly name: Uint8Array;
}): LocalKey {
  return { kind: KINDS[kind] as LocalKind, id: Buffer.from(name).toString('utf8') };
}

/** Finds and reads manifest rows. */
export class ManifestTable {
  readonly #database: IndexDatabase;
  readonly #fingerprints: FingerprintIndex;
  readonly #names: NameTable;
  readonly #holds: HoldTable;

  constructor(
    database: IndexDatabase,
    fingerprints: FingerprintIndex,
    names: NameTable,
    holds: HoldTable,
  ) {
    this.#database = database;
    this.#fingerprints = fingerprints;
    this.#names = names;
    this.#holds = holds;
  }

  /**
   * Finds the row of a manifest.
   *
   * @param staged rows of the present transaction, which the fingerprints do not contain yet, by
   *   {@link manifestName}.
   */
  find(key: LocalKey, staged?: ReadonlyMap<string, number>): ManifestRow | undefined {
    const kind = KIND_NUMBERS[key.kind];
    const name = Buffer.from(key.id, 'utf8');
    const candidates = this.#fingerprints.lookup(manifestFingerprint(key));
    const recent = staged?.get(manifestName(key));
    if (recent !== undefined) candidates.unshift(recent);
    for (const candidate of candidates) {
      const row = this.at(candidate);
      if (row !== undefined && row.kind === kind && row.name.equals(name)) return row;
    }
    return undefined;
  }

  /** The row of that id. */
  at(id: number): ManifestRow | undefined {
    return this.#database.get<ManifestRow>('SELECT * FROM manifest WHERE id = ?', id);
  }

  /** Record id of the first entry; `undefined` when there is none. */
  firstBody(row: ManifestRow): number | undefined {
    if (row.body !== null || row.entries === null) return row.body ?? undefined;
    return this.#database.value<number>(
      'SELECT body FROM entry WHERE manifest = ? ORDER BY number LIMIT 1',
      row.id,
    );
  }

  /** Record ids of all entries, in order, or only that of the last. */
  bodies(row: ManifestRow, newestOnly = false): number[] {
    const first = row.body === null ? [] : [row.body];
    if (row.entries === null) return first;
    const order = newestOnly ? 'number DESC LIMIT 1' : 'number';
    const later = this.#database.all<{ body: number }>(
      `SELECT body FROM entry WHERE manifest = ? ORDER BY ${order}`,
      row.id,
    );
    return [...(newestOnly && later.length > 0 ? [] : first), ...later.map(({ body }) => body)];
  }

  /**
   * All entries of a manifest: the record ids of their bodies, and idempotency keys by position.
   */
  entries(row: ManifestRow): { bodies: number[]; nonces: [number, Buffer][] } {
    if (row.entries === null) return { bodies: this.bodies(row), nonces: [] };
    const rows = this.#database.all<{ number: number; nonce: Buffer }>(
      'SELECT number, nonce FROM entry WHERE manifest = ? AND nonce IS NOT NULL ORDER BY number',
      row.id,
    );
    return { bodies: this.bodies(row), nonces: rows.map(({ number, nonce }) => [number, nonce]) };
  }

  /** Whether an append with that idempotency key was taken. */
  hasNonce(row: ManifestRow, nonce: Buffer): boolean {
    return (
      this.#database.get('SELECT 1 FROM entry WHERE manifest = ? AND nonce = ?', row.id, nonce) !==
      undefined
    );
  }

  /**
   * Whether the fields of a put equal the stored ones; an omitted creation time counts as equal.
   */
  hasFields(row: ManifestRow, fields: ManifestFields): boolean {
    return (
      row.application === this.#find(fields.application) &&
      row.model === this.#find(fields.model) &&
      row.bytes === fields.logicalBytes &&
      (fields.createdAt === undefined || row.created === Math.floor(fields.createdAt)) &&
      row.expires === (fields.expiresAt === undefined ? null : Math.floor(fields.expiresAt))
    );
  }

  insert(
    kind: number,
    id: string,
    bodies: readonly number[],
    fields: ManifestFields,
    now: number,
  ): ManifestRow {
    const columns = this.#columns(fields, now);
    const row = {
      kind,
      name: Buffer.from(id, 'utf8'),
      ...columns,
      updated: now === columns.created ? null : now,
      bytes: fields.logicalBytes,
      revision: null,
      entries: bodies.length > 1 ? bodies.length : null,
      body: bodies[0] ?? null,
    };
    const { lastInsertRowid } = this.#database.run(
      `INSERT INTO manifest (kind, name, application, model, created, updated, expires, bytes, entries, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      kind,
      row.name,
      row.application,
      row.model,
      row.created,
      row.updated,
      row.expires,
      row.bytes,
      row.entries,
      row.body,
    );
    const inserted = { id: Number(lastInsertRowid), ...row };
    this.#addEntries(inserted.id, 1, bodies.slice(1), null);
    return inserted;
  }

  /** Inserts a row as it was in another index, under its id. */
  restore(
    row: Omit<ManifestRow, 'entries' | 'body'>,
    bodies: readonly number[],
    nonces: ReadonlyMap<number, Uint8Array>,
  ): void {
    // The row has no column for an idempotency key of its first entry.
    const isApart = nonces.has(0);
    this.#database.run(
      `INSERT INTO manifest (id, kind, name, application, model, created, updated, expires, bytes, revision, entries, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.id,
      row.kind,
      row.name,
      row.application,
      row.model,
      row.created,
      row.updated,
      row.expires,
      row.bytes,
      row.revision,
      bodies.length > 1 || isApart ? bodies.length : null,
      isApart ? null : (bodies[0] ?? null),
    );
    bodies.forEach((body, number) => {
      if (number > 0 || isApart)
        this.#addEntries(row.id, number, [body], nonces.get(number) ?? null);
    });
  }

  /**
   * Replaces the entries of a row. Keeps its place in the order of archiving; the new content is
   * created now, unless its fields say when.
   */
  replace(
    row: ManifestRow,
    bodies: readonly number[],
    fields: ManifestFields,
    now: number,
  ): ManifestRow {
    const columns = this.#columns(fields, now);
    this.#database.run('DELETE FROM entry WHERE manifest = ?', row.id);
    this.#database.run(
      `UPDATE manifest SET application = ?, model = ?, created = ?, updated = ?, expires = ?, bytes = ?, revision = ?,
         entries = ?, body = ? WHERE id = ?`,
      columns.application,
      columns.model,
      columns.created,
      now,
      columns.expires,
      fields.logicalBytes,
      (row.revision ?? 1) + 1,
      bodies.length > 1 ? bodies.length : null,
      bodies[0] ?? null,
      row.id,
    );
    this.#addEntries(row.id, 1, bodies.slice(1), null);
    return this.at(row.id) as ManifestRow;
  }

  /** Adds entries to the end. */
  extend(
    row: ManifestRow,
    bodies: readonly number[],
    nonce: Buffer | null,
    bytes: number,
    fields: Partial<ManifestFields>,
    now: number,
  ): ManifestRow {
    const before = countEntries(row);
    this.#database.run(
      `UPDATE manifest SET application = ?, model = ?, created = ?, updated = ?, expires = ?, bytes = ?, revision = ?,
         entries = ? WHERE id = ?`,
      fields.application === undefined ? row.application : this.#names.intern(fields.application),
      fields.model === undefined ? row.model : this.#names.intern(fields.model),
      fields.createdAt === undefined ? row.created : Math.floor(fields.createdAt),
      now,
      fields.expiresAt === undefined ? row.expires : Math.floor(fields.expiresAt),
      row.bytes + bytes,
      (row.revision ?? 1) + 1,
      bodies.length === 0 ? row.entries : before + bodies.length,
      row.id,
    );
    this.#addEntries(row.id, before, bodies, nonce);
    return this.at(row.id) as ManifestRow;
  }

  remove(row: ManifestRow): void {
    this.#database.run('DELETE FROM entry WHERE manifest = ?', row.id);
    this.#database.run('DELETE FROM manifest WHERE id = ?', row.id);
  }

  key(row: ManifestRow): LocalKey {
    return keyOf(row);
  }

  head(row: ManifestRow): ManifestHead {
    const hold = this.#holds.find(row.id);
    return {
      key: this.key(row) as ManifestKey,
      revision: revisionOf(row),
      ...(row.application === null ? {} : { application: this.#names.text(row.application) }),
      ...(row.model === null ? {} : { model: this.#names.text(row.model) }),
      createdAt: row.created,
      updatedAt: row.updated ?? row.created,
      ...(row.expires === null ? {} : { expiresAt: row.expires }),
      logicalBytes: row.bytes,
      entryCount: countEntries(row),
      ...(hold !== undefined && { hold }),
    };
  }

  #find(name: string | undefined): number | null | undefined {
    return name === undefined ? null : this.#names.find(name);
  }

  #columns({ application, model, createdAt, expiresAt }: ManifestFields, defaultCreated: number) {
    return {
      application: application === undefined ? null : this.#names.intern(application),
      model: model === undefined ? null : this.#names.intern(model),
      created: createdAt === undefined ? defaultCreated : Math.floor(createdAt),
      expires: expiresAt === undefined ? null : Math.floor(expiresAt),
    };
  }

  #addEntries(
    manifest: number,
    from: number,
    bodies: readonly number[],
    nonce: Uint8Array | null,
  ): void {
    bodies.forEach((body, index) => {
      // The first entry of an append carries its idempotency key.
      this.#database.run(
        'INSERT INTO entry (manifest, number, body, nonce) VALUES (?, ?, ?, ?)',
        manifest,
        from + index,
        body,
        index === 0 ? nonce : null,
      );
    });
  }
}

/**
 * Row ids are never reused and revisions of a row only grow, so no two states of an id share a
 * revision.
 */
export function revisionOf(row: Pick<ManifestRow, 'id' | 'revision'>): Revision {
  return `${row.id.toString(36)}.${row.revision ?? 1}` as Revision;
}

/** Kind and id in one string, different for different keys. */
export function manifestName({ kind, id }: LocalKey): string {
  return `${kind}\0${id}`;
}

/** A put looks its key up and then inserts it: this saves the second hash. */
let latest: { readonly name: string; readonly fingerprint: number } = { name: '', fingerprint: 0 };

/** The first 40 bits of the SHA-256 of {@link manifestName}. */
export function manifestFingerprint(key: LocalKey): number {
  const name = manifestName(key);
  if (latest.name !== name) {
    const digest = hash('sha256', name, 'buffer') as Buffer;
    latest = { name, fingerprint: digest.readUIntBE(0, FINGERPRINT_BITS / 8) };
  }
  return latest.fingerprint;
}

/** The mark of a manifest in its bodies: the first 16 bits of its fingerprint. */
export function ownerMark(key: LocalKey): number {
  return Math.floor(manifestFingerprint(key) / 2 ** (FINGERPRINT_BITS - 16));
}

/** The entry of a manifest in the fingerprint index. */
export function manifestEntry(key: LocalKey, row: number): FingerprintEntry {
  return { key: manifestFingerprint(key), id: row };
}

/** The name of the process to which an upload belongs. */
export function uploaderOf({ name }: Pick<ManifestRow, 'name'>): string {
  return name.toString().split('/', 1)[0] as string;
}
