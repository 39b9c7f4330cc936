import type { Address } from '../../../core/address.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { NewEntry, NewSegment } from '../../contract/manifests.ts';
import type { PackAppender } from '../files/pack-files.ts';
import { type BodyRecord, encodeBodyRecord } from '../format/body-record.ts';
import { BODIES, SEGMENTS } from '../format/schema.ts';
import { BlockStager, type BlockTuning } from '../packs/block-stager.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type LocalKey, type ManifestRow, ownerMark } from '../tables/manifest-table.ts';
import { segmentEntry } from '../tables/segment-resolver.ts';
import { Healing } from './healing.ts';
import { type CheckedSegment, checkedSegment, type PreparedBlocks } from './prepared-blocks.ts';

export interface CommitTuning {
  readonly segments: BlockTuning;
  readonly bodies: BlockTuning;
}

interface PlannedSegment extends CheckedSegment {
  readonly address: Address;
  readonly record: number;
  readonly tokens: boolean;
}

/** Entries of which every segment was found or read. */
export interface PlannedEntries {
  readonly entries: readonly { readonly segments: readonly number[]; readonly body: Uint8Array }[];
  /** Those that are missing. */
  readonly segments: ReadonlyMap<Address, PlannedSegment>;
}

/** A body that its manifest drops, and the segments that it references. */
export interface DroppedBody {
  readonly body: number;
  readonly segments: ReadonlySet<number>;
}

/**
 * The entries that one write transaction stores and drops: gives records their ids, gathers them in
 * blocks for the pack, and counts references.
 */
export class EntryWriter {
  readonly #index: LocalIndex;
  readonly #now: number;
  readonly #segmentBlocks: BlockStager;
  readonly #bodyBlocks: BlockStager;
  readonly #segmentBlockBytes: number;
  readonly #firstSegment: number;
  readonly #firstBody: number;
  #nextSegment: number;
  #nextBody: number;
  readonly #newSegments = new Map<Address, number>();
  readonly #healing: Healing;
  readonly #prepared: PreparedBlocks;
  #isChanged = false;

  /** Make it when the transaction begins. */
  constructor(
    index: LocalIndex,
    appender: PackAppender,
    tuning: CommitTuning,
    now: number,
    prepared: PreparedBlocks,
  ) {
    const { database } = index;
    this.#index = index;
    this.#now = now;
    this.#prepared = prepared;
    this.#segmentBlocks = new BlockStager(database, appender, SEGMENTS, tuning.segments, prepared);
    this.#bodyBlocks = new BlockStager(database, appender, BODIES, tuning.bodies);
    this.#segmentBlockBytes = tuning.segments.blockBytes;
    this.#firstSegment = database.meta('next_segment');
    this.#nextSegment = this.#firstSegment;
    this.#firstBody = database.meta('next_body');
    this.#nextBody = this.#firstBody;
    this.#healing = new Healing(index);
  }

  /** Whether entries were stored or dropped. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /**
   * Finds or reads every segment of entries. Changes nothing that outlives a failure.
   *
   * @throws what is wrong with the bytes of a segment.
   */
  plan(entries: readonly NewEntry[]): PlannedEntries {
    const segments = new Map<Address, PlannedSegment>();
    let next = this.#nextSegment;
    const planned = entries.map((entry) => {
      const records = entry.segments.map((segment) => {
        const known = this.find(segment.address) ?? segments.get(segment.address)?.record;
        if (known !== undefined) {
          this.#healOne(known, segment);
          return known;
        }
        const tokens = segment.encoding === 'tokens';
        const record = next++;
        const checked = this.#prepared.find(segment) ?? checkedSegment(segment);
        segments.set(segment.address, { ...checked, address: segment.address, record, tokens });
        return record;
      });
      return { segments: records, body: entry.body };
    });
    return { entries: planned, segments };
  }

  /**
   * Stores planned entries and counts their references; returns the record ids of their bodies.
   *
   * @param owner the manifest that the bodies name.
   */
  store({ entries, segments }: PlannedEntries, owner: LocalKey): number[] {
    this.#isChanged = true;
    for (const { address, record, stored, tokens } of segments.values()) {
      this.#segmentBlocks.add({ id: record, bytes: stored, tokens, address });
      this.#newSegments.set(address, record);
      this.#nextSegment = record + 1;
    }
    const mark = ownerMark(owner);
    return entries.map((entry) => {
      for (const segment of new Set(entry.segments)) this.#index.ledger.add(segment, 1);
      const id = this.#nextBody++;
      const bytes = encodeBodyRecord({ owner: mark, ...entry });
      this.#bodyBlocks.add({ id, bytes, tokens: false });
      return id;
    });
  }

  /** Takes the bytes of segments that are stored, but damaged. */
  heal(entries: readonly NewEntry[]): void {
    if (this.#index.damaged.size === 0) return;
    for (const segment of entries.flatMap(({ segments }) => segments)) {
      const known = this.find(segment.address);
      if (known !== undefined) this.#healOne(known, segment);
    }
  }

  /**
   * Reads what a manifest references, for {@link drop}. Skips a body that cannot be read, or is
   * another manifest's: what it references leaks until an audit.
   */
  planDrop(row: ManifestRow | undefined): DroppedBody[] {
    if (row === undefined) return [];
    return this.#index.manifests.bodies(row).flatMap((body) => {
      try {
        // It may still be in an open block.
        if (body >= this.#firstBody) this.#bodyBlocks.flush();
        return [{ body, segments: this.#index.references(body, this.#index.manifests.key(row)) }];
      } catch (error) {
        if (isUnreadable(error)) return [];
        throw error;
      }
    });
  }

  /** Gives references back; the bodies that held them become garbage. */
  drop(dropped: readonly DroppedBody[]): void {
    this.#isChanged = true;
    for (const { body, segments } of dropped) {
      for (const segment of segments) this.#index.ledger.add(segment, -1);
      this.#index.ledger.set(BODIES, body, 0, this.#now);
    }
  }

  /** The record of a segment, those of this transaction included. */
  find(address: Address): number | undefined {
    return this.#newSegments.get(address) ?? this.#index.segments.find(address, true);
  }

  /** A body of a manifest, those of this transaction included. @throws `CORRUPT`. */
  body(row: ManifestRow, id: number): BodyRecord {
    // It may still be in an open block.
    if (id >= this.#firstBody) this.#bodyBlocks.flush();
    return this.#index.body(id, this.#index.manifests.key(row));
  }

  /** Writes the last blocks. */
  finishBlocks(): void {
    this.#segmentBlocks.flush();
    this.#healing.finish(this.#segmentBlocks, this.#segmentBlockBytes);
    this.#bodyBlocks.flush();
  }

  /** Enters counts, fingerprints and ids into the index; returns whether runs were added. */
  enter(): boolean {
    const { database, ledger, segmentFingerprints, segments } = this.#index;
    ledger.settle(this.#firstSegment, this.#now);
    const isAdded = segmentFingerprints.add(
      Array.from(this.#newSegments, ([address, record]) => segmentEntry(address, record)),
    );
    if (this.#nextSegment > this.#firstSegment) database.setMeta('next_segment', this.#nextSegment);
    if (this.#nextBody > this.#firstBody) database.setMeta('next_body', this.#nextBody);
    for (const [address, record] of this.#newSegments) segments.remember(address, record);
    return isAdded;
  }

  #healOne(record: number, segment: NewSegment): void {
    if (segment.bytes === null || !this.#healing.needs(record)) return;
    const { stored } = checkedSegment(segment);
    this.#healing.take(record, segment.address, stored, segment.encoding === 'tokens');
  }
}
