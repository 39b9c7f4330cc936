import { LRUCache } from 'lru-cache';
import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import type { PackReader } from '../files/pack-files.ts';
import {
  FingerprintIndex,
  MANIFEST_FINGERPRINTS,
  SEGMENT_FINGERPRINTS,
} from '../fingerprints/fingerprint-index.ts';
import { type BodyRecord, decodeBodyRecord } from '../format/body-record.ts';
import { BODIES } from '../format/schema.ts';
import { LogTail } from '../packs/log-tail.ts';
import { type RecordPlace, RecordStore } from '../packs/record-store.ts';
import { HoldTable } from './hold-table.ts';
import { type LocalKey, ManifestTable, ownerMark } from './manifest-table.ts';
import { NameTable } from './name-table.ts';
import { ReferenceLedger } from './reference-ledger.ts';
import { SegmentResolver } from './segment-resolver.ts';

/** References of bodies that are kept in memory: about 4 MB. */
const CACHED_REFERENCES = 100_000;

/** What a body references. */
interface References extends Pick<BodyRecord, 'owner'> {
  readonly segments: ReadonlySet<number>;
}

/** The tables of the index through one connection, and their caches. */
export class LocalIndex {
  readonly database: IndexDatabase;
  readonly records: RecordStore;
  readonly ledger: ReferenceLedger;
  readonly names: NameTable;
  readonly holds: HoldTable;
  readonly segmentFingerprints: FingerprintIndex;
  readonly manifestFingerprints: FingerprintIndex;
  readonly manifests: ManifestTable;
  readonly segments: SegmentResolver;
  readonly log: LogTail;
  /** Segments that an audit found damaged, by record id. */
  damaged: ReadonlySet<number> = new Set();
  readonly #references = new LRUCache<number, References>({
    maxSize: CACHED_REFERENCES,
    sizeCalculation: ({ segments }) => segments.size + 1,
  });
  #epoch = -1;
  #hasZones = false;
  #erasures: number | undefined;

  constructor(root: string, database: IndexDatabase, packs: PackReader) {
    this.database = database;
    this.records = new RecordStore(root, database, packs);
    this.ledger = new ReferenceLedger(database);
    this.names = new NameTable(database);
    this.holds = new HoldTable(database);
    this.segmentFingerprints = new FingerprintIndex(database, SEGMENT_FINGERPRINTS);
    this.manifestFingerprints = new FingerprintIndex(database, MANIFEST_FINGERPRINTS);
    this.manifests = new ManifestTable(database, this.manifestFingerprints, this.names, this.holds);
    this.segments = new SegmentResolver(this.records, this.segmentFingerprints, this.ledger);
    this.log = new LogTail(database, this.records);
    database.onRollback(() => this.#invalidate());
  }

  /** Whether the index has the table `zone`: an older one gets it when it is opened for writing. */
  get hasZones(): boolean {
    this.#hasZones ||= this.database.hasTable('zone');
    return this.#hasZones;
  }

  /** Updates the caches to the snapshot of the transaction that has just begun. */
  refresh(): void {
    const runs = this.database.meta('runs');
    this.segmentFingerprints.refresh(runs);
    this.manifestFingerprints.refresh(runs);
    const epoch = this.database.meta('epoch');
    if (epoch === this.#epoch) return;
    this.records.forgetPlaces();
    this.segments.forget();
    this.names.invalidate();
    this.damaged = new Set(
      this.database
        .all<{ record: number }>('SELECT record FROM damage')
        .map(({ record }) => record),
    );
    this.#epoch = epoch;
    const erasures = this.database.meta('erasures');
    if (this.#erasures !== undefined && erasures !== this.#erasures) this.records.clear();
    this.#erasures = erasures;
  }

  /** Announces to other processes that fingerprints were added or merged. */
  bumpRuns(): void {
    const runs = this.database.meta('runs') + 1;
    this.database.setMeta('runs', runs);
    this.segmentFingerprints.adopt(runs);
    this.manifestFingerprints.adopt(runs);
  }

  /**
   * Announces to other processes, and to the next transaction of this one, that records were swept
   * or moved.
   */
  bumpEpoch(): void {
    this.database.setMeta('epoch', this.database.meta('epoch') + 1);
  }

  /** Makes all processes drop deleted content from their caches. Only in a write transaction. */
  bumpErasures(): void {
    this.database.setMeta('erasures', this.database.meta('erasures') + 1);
    this.bumpEpoch();
  }

  /**
   * Reads the body of an entry of the manifest `owner`.
   *
   * @throws `CORRUPT` when it is missing, damaged, or that of another manifest.
   */
  body(id: number, owner: LocalKey): BodyRecord {
    return this.#body(id, owner, (place) => this.records.stored(place));
  }

  #body(id: number, owner: LocalKey, read: (place: RecordPlace) => Uint8Array): BodyRecord {
    const place = this.records.locate(BODIES, id);
    if (place === undefined) throw new VarveError('CORRUPT', `manifest body ${id} is missing`);
    const record = decodeBodyRecord(read(place), `manifest body ${id}`);
    assertOwner(record, id, owner);
    return record;
  }

  /**
   * The segments that a body references. Those read last are kept: who deletes many manifests reads
   * all before it takes the lock.
   *
   * @throws as {@link body}.
   */
  references(id: number, owner: LocalKey): ReadonlySet<number> {
    const known = this.#references.get(id);
    if (known !== undefined) {
      assertOwner(known, id, owner);
      return known.segments;
    }
    const { owner: mark, segments } = this.#body(id, owner, (place) =>
      this.records.storedAtOnce(place),
    );
    const references = { owner: mark, segments: new Set(segments) };
    this.#references.set(id, references);
    return references.segments;
  }

  /** Forgets what a rolled-back transaction has left in the caches. */
  #invalidate(): void {
    this.records.clear();
    this.#references.clear();
    this.names.invalidate();
    this.holds.invalidate();
    this.ledger.discard();
    this.segmentFingerprints.invalidate();
    this.manifestFingerprints.invalidate();
    this.segments.forget();
    this.log.forget();
    this.#epoch = -1;
  }
}

/** @throws `CORRUPT` when a body is that of another manifest. */
function assertOwner(body: Pick<BodyRecord, 'owner'>, id: number, owner: LocalKey): void {
  // The bodies of an upload carry the mark of the manifest that they are uploaded for.
  if (owner.kind === 'upload' || body.owner === ownerMark(owner)) return;
  throw new VarveError(
    'CORRUPT',
    `the index is damaged: manifest body ${id} is not of ${owner.kind} ` +
      `${JSON.stringify(owner.id)}`,
  );
}
