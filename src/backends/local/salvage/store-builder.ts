import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '../../../core/address.ts';
import { batchesOf, slicesOf } from '../../../core/batches.ts';
import { CommitLog } from '../commit/commit-log.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { openIndex } from '../database/open-index.ts';
import { type PackAppender, PackReader } from '../files/pack-files.ts';
import { syncFolder } from '../files/plain-files.ts';
import { INDEX_FILE, PARTIAL_INDEX_FILE, StoreFolder } from '../files/store-folder.ts';
import type { BlockRecord } from '../format/block.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import type { LoggedState } from '../format/log-record.ts';
import { BODIES, SEGMENTS, type Space } from '../format/schema.ts';
import { BlockStager, type BlockTuning } from '../packs/block-stager.ts';
import { PackOwner } from '../packs/pack-owner.ts';
import { LocalIndex } from '../tables/local-index.ts';
import { keyOf, type ManifestRow, manifestEntry } from '../tables/manifest-table.ts';
import { segmentEntry } from '../tables/segment-resolver.ts';

const PACK_BYTES = 64 * 1024 * 1024;
const LEVEL = 5;
const TUNING: readonly BlockTuning[] = [
  { blockBytes: 256 * 1024, level: LEVEL },
  { blockBytes: 1024 * 1024, level: LEVEL },
];

/** Bytes of records, and rows, per transaction. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_ROWS = 2000;

/** A manifest for {@link StoreBuilder.addManifests}; its bodies are added before it. */
export interface BuiltManifest {
  readonly row: number;
  readonly kind: number;
  readonly name: Uint8Array;
  readonly state: LoggedState;
  readonly bodies: readonly number[];
  readonly nonces: ReadonlyMap<number, Uint8Array>;
  readonly hold: { readonly since: number; readonly reason: string | null } | undefined;
}

/**
 * Writes a new store from records and rows that keep their ids. The store cannot be opened before
 * {@link finish}.
 */
export class StoreBuilder {
  readonly #folder: StoreFolder;
  readonly #database: IndexDatabase;
  readonly #packs: PackReader;
  readonly #index: LocalIndex;
  readonly #owner: PackOwner;

  /** @throws `INVALID_ARGUMENT` when the folder contains anything. */
  constructor(root: string) {
    this.#folder = new StoreFolder(root, PARTIAL_INDEX_FILE);
    this.#database = openIndex(this.#folder, {
      create: true,
      readOnly: false,
      lockTimeoutMs: 60_000,
    });
    this.#packs = new PackReader(this.#folder);
    this.#index = new LocalIndex(root, this.#database, this.#packs);
    this.#owner = new PackOwner(this.#folder, this.#database, PACK_BYTES);
  }

  /** Adds records in ascending order of their ids. */
  async addRecords(space: Space, records: Iterable<BlockRecord>): Promise<void> {
    const bytesOf = ({ bytes }: BlockRecord) => bytes.length;
    for await (const batch of batchesOf(records, { bytes: BATCH_BYTES, bytesOf }))
      await this.#writeRecords(space, batch);
  }

  /** Adds rows in ascending order of their ids. */
  async addManifests(manifests: readonly BuiltManifest[]): Promise<void> {
    for (const batch of slicesOf(manifests, BATCH_ROWS)) {
      await this.#transact((log) => {
        const entries = batch.map((manifest) => this.#addManifest(manifest, log));
        this.#index.manifestFingerprints.add(entries);
      });
    }
  }

  /** Sets the reference counts of segments that do not have exactly one. */
  async setCounts(counts: Iterable<readonly [number, number]>): Promise<void> {
    const now = Date.now();
    await this.#database.write(() => {
      for (const [record, references] of counts)
        this.#index.ledger.set(SEGMENTS, record, references, now);
    });
  }

  /** Turns what was written into a store whose new ids start from these. */
  async finish(next: {
    readonly segment: number;
    readonly body: number;
    readonly row: number;
  }): Promise<void> {
    await this.#database.write(() => {
      this.#database.setMeta('next_segment', next.segment);
      this.#database.setMeta('next_body', next.body);
      this.#database.run("DELETE FROM sqlite_sequence WHERE name = 'manifest'");
      this.#database.run("INSERT INTO sqlite_sequence VALUES ('manifest', ?)", next.row - 1);
    });
    await this.close();
    const { root, index } = this.#folder;
    renameSync(index, join(root, INDEX_FILE));
    syncFolder(root);
  }

  async close(): Promise<void> {
    await this.#owner.release();
    this.#packs.closeAll();
    this.#database.close();
    this.#folder.close();
  }

  async #writeRecords(space: Space, records: readonly BlockRecord[]): Promise<void> {
    await this.#transact((_log, appender) => {
      const stager = new BlockStager(this.#database, appender, space, TUNING[space] as BlockTuning);
      for (const record of records) stager.add(record);
      stager.flush();
      if (space === BODIES) {
        this.#database.setMeta('next_body', (records.at(-1) as BlockRecord).id + 1);
        return;
      }
      this.#index.segmentFingerprints.add(
        records.map(({ address, id }): FingerprintEntry => segmentEntry(address as Address, id)),
      );
    });
  }

  #addManifest(
    { row: id, kind, name, state, bodies, nonces, hold }: BuiltManifest,
    log: CommitLog,
  ): FingerprintEntry {
    const { names, manifests, holds } = this.#index;
    const numberOf = (text: string | null) => (text === null ? null : names.intern(text));
    const row: ManifestRow = {
      id,
      kind,
      name: Buffer.from(name),
      application: numberOf(state.application),
      model: numberOf(state.model),
      created: state.created,
      updated: state.updated === state.created ? null : state.updated,
      expires: state.expires,
      bytes: state.bytes,
      revision: state.revision === 1 ? null : state.revision,
      entries: bodies.length,
      body: null,
    };
    manifests.restore(row, bodies, nonces);
    log.put(
      row,
      bodies,
      [],
      [...nonces].sort(([a], [b]) => a - b),
    );
    if (hold !== undefined) {
      holds.place(id, { since: hold.since, ...(hold.reason !== null && { reason: hold.reason }) });
      log.hold(row);
    }
    return manifestEntry(keyOf(row), id);
  }

  async #transact(work: (log: CommitLog, appender: PackAppender) => void) {
    await this.#owner.append((appender) => {
      this.#index.refresh();
      const log = new CommitLog(this.#index, appender, LEVEL);
      work(log, appender);
      log.finish();
      this.#index.bumpRuns();
    });
  }
}
