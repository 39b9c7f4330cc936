import { packTokens } from '../../../cas/codec/token-codec.ts';
import type { Address } from '../../../core/address.ts';
import { isUnreadable, VarveError } from '../../../core/errors.ts';
import { heldError } from '../../contract/decide.ts';
import type {
  AppendWrite,
  DeleteWrite,
  HoldWrite,
  ManifestFields,
  ManifestKey,
  NewEntry,
  NewSegment,
  PutWrite,
  Revision,
  WriteOutcome,
  WriteSuccess,
} from '../../contract/manifests.ts';
import { checkedBytes } from '../../contract/write-validation.ts';
import type { PackAppender } from '../files/pack-files.ts';
import { type BodyRecord, encodeBodyRecord } from '../format/body-record.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { BODIES, KIND_NUMBERS, SEGMENTS } from '../format/schema.ts';
import { BlockStager, type BlockTuning } from '../packs/block-stager.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import {
  type LocalKey,
  type ManifestRow,
  manifestEntry,
  manifestName,
  ownerMark,
  revisionOf,
} from '../tables/manifest-table.ts';
import { segmentEntry } from '../tables/segment-resolver.ts';
import { CommitLog } from './commit-log.ts';
import { Healing } from './healing.ts';

type WithLocalKey<Write> = Omit<Write, 'key'> & {
  readonly key: LocalKey;
  /** The manifest that the bodies of an upload will belong to. Default: `key`. */
  readonly owner?: LocalKey;
};

/** Gives the entries of an upload to the manifest that they were uploaded for. */
export interface AdoptWrite extends Omit<PutWrite, 'operation' | 'entries'> {
  readonly operation: 'adopt';
  readonly upload: LocalKey;
}

/** What the local backend commits: the writes of the interface, and its own for uploads. */
export type LocalWrite =
  | WithLocalKey<PutWrite>
  | WithLocalKey<AppendWrite>
  | WithLocalKey<DeleteWrite>
  | HoldWrite
  | AdoptWrite;

export interface CommitTuning {
  readonly segments: BlockTuning;
  readonly bodies: BlockTuning;
}

interface StagedSegment {
  readonly address: Address;
  readonly record: number;
  /** Canonical bytes. */
  readonly bytes: Uint8Array;
  readonly tokens: boolean;
}

interface StagedEntry {
  readonly segments: readonly number[];
  readonly body: Uint8Array;
}

interface Staged {
  readonly entries: readonly StagedEntry[];
  readonly segments: ReadonlyMap<Address, StagedSegment>;
}

interface Released {
  readonly body: number;
  readonly segments: ReadonlySet<number>;
}

/**
 * One write transaction: the writes of a group of commits, applied one after the other.
 *
 * A write is first planned, which may fail and changes nothing, then applied, which fails only as
 * the whole transaction does. Blocks are appended to the pack on the way; {@link finish} makes them
 * durable before the index can name them.
 */
export class CommitTransaction {
  readonly #index: LocalIndex;
  readonly #appender: PackAppender;
  readonly #now: number;
  readonly #segmentBlocks: BlockStager;
  readonly #bodyBlocks: BlockStager;
  readonly #firstSegment: number;
  readonly #firstBody: number;
  #nextSegment: number;
  #nextBody: number;
  readonly #newSegments = new Map<Address, number>();
  readonly #newManifests = new Map<string, number>();
  readonly #manifestEntries: FingerprintEntry[] = [];
  readonly #healing: Healing;
  readonly #log: CommitLog;
  readonly #segmentBlockBytes: number;
  #changed = false;

  constructor(index: LocalIndex, appender: PackAppender, tuning: CommitTuning, now: number) {
    this.#index = index;
    this.#appender = appender;
    this.#now = now;
    this.#segmentBlocks = new BlockStager(index.database, appender, SEGMENTS, tuning.segments);
    this.#bodyBlocks = new BlockStager(index.database, appender, BODIES, tuning.bodies);
    this.#firstSegment = index.database.meta('next_segment');
    this.#nextSegment = this.#firstSegment;
    this.#firstBody = index.database.meta('next_body');
    this.#nextBody = this.#firstBody;
    this.#healing = new Healing(index);
    this.#log = new CommitLog(index, appender, tuning.bodies.level);
    this.#segmentBlockBytes = tuning.segments.blockBytes;
  }

  /** Applies one write; what is wrong with it alone becomes its outcome. */
  apply(write: LocalWrite): WriteOutcome {
    try {
      switch (write.operation) {
        case 'put':
          return this.#put(write);
        case 'append':
          return this.#append(write);
        case 'delete':
          return this.#delete(write);
        case 'hold':
          return this.#hold(write);
        case 'adopt':
          return this.#adopt(write);
      }
    } catch (error) {
      if (error instanceof VarveError && error.code !== 'INTERNAL')
        return { status: 'failed', error };
      throw error;
    }
  }

  /** Completes blocks, counts and fingerprints. To be called last, before the index commits. */
  finish(): void {
    this.#segmentBlocks.flush();
    this.#healing.finish(this.#segmentBlocks, this.#segmentBlockBytes);
    this.#bodyBlocks.flush();
    this.#log.finish();
    if (!this.#changed && !this.#appender.hasAppended) return;
    // The data first: once the index names a block, it must be there even after a power failure.
    this.#appender.sync();
    const { database, ledger, segmentFingerprints, manifestFingerprints } = this.#index;
    ledger.settle(this.#firstSegment, this.#now);
    const segmentEntries = Array.from(this.#newSegments, ([address, record]) =>
      segmentEntry(address, record),
    );
    const changedSegments = segmentFingerprints.add(segmentEntries);
    const changedManifests = manifestFingerprints.add(this.#manifestEntries);
    if (changedSegments || changedManifests) this.#index.bumpRuns();
    if (this.#nextSegment > this.#firstSegment) database.setMeta('next_segment', this.#nextSegment);
    if (this.#nextBody > this.#firstBody) database.setMeta('next_body', this.#nextBody);
    database.run('UPDATE pack SET size = ? WHERE id = ?', this.#appender.end, this.#appender.pack);
    for (const [address, record] of this.#newSegments)
      this.#index.segments.remember(address, record);
  }

  #put(write: WithLocalKey<PutWrite>): WriteOutcome {
    const existing = this.#find(write.key);
    checkRevision(write.key, existing, write.ifRevision);
    const decided = this.#decidePut(write, existing, () =>
      this.#isStored(existing as ManifestRow, write.entries),
    );
    if (decided !== undefined) {
      if (decided.status === 'unchanged') this.#heal(write.entries);
      return decided;
    }
    this.#checkHold(write.key, existing);
    const staged = this.#stage(write.entries);
    const released = this.#planRelease(existing);
    const bodies = this.#store(staged, write.owner ?? write.key);
    const row = this.#publish(write.key, existing, write.fields, bodies);
    this.#release(released);
    return success(existing === undefined ? 'created' : 'replaced', row, staged);
  }

  #append(write: WithLocalKey<AppendWrite>): WriteOutcome {
    const existing = this.#find(write.key);
    const { idempotencyKey, fields = {} } = write;
    if (existing === undefined)
      throw new VarveError(
        'NOT_FOUND',
        `${describe(write.key)} does not exist, so nothing can be appended to it`,
      );
    const nonce = idempotencyKey === undefined ? null : Buffer.from(idempotencyKey);
    if (nonce !== null && this.#index.manifests.hasNonce(existing, nonce))
      return unchanged(existing);
    checkRevision(write.key, existing, write.ifRevision);
    const staged = this.#stage(write.entries);
    const bodies = this.#store(staged, write.owner ?? write.key);
    const row = this.#index.manifests.extend(
      existing,
      bodies,
      nonce,
      write.logicalBytes,
      fields,
      this.#now,
    );
    this.#log.append(row, bodies, nonce);
    return success('appended', row, staged);
  }

  #delete(write: WithLocalKey<DeleteWrite>): WriteOutcome {
    const existing = this.#find(write.key);
    if (existing === undefined) return { status: 'absent', newSegments: 0, newBytes: 0 };
    checkRevision(write.key, existing, write.ifRevision);
    this.#checkHold(write.key, existing);
    this.#log.delete(existing, this.#index.manifests.bodies(existing));
    this.#release(this.#planRelease(existing));
    this.#index.manifests.remove(existing);
    return { status: 'deleted', newSegments: 0, newBytes: 0 };
  }

  #hold({ key, held, reason, ifRevision }: HoldWrite): WriteOutcome {
    const existing = this.#find(key);
    if (existing === undefined) {
      throw new VarveError('NOT_FOUND', `${describe(key)} does not exist, so nothing can be held`);
    }
    checkRevision(key, existing, ifRevision);
    const { holds } = this.#index;
    const before = holds.find(existing.id);
    const isSame = held
      ? before !== undefined && (reason === undefined || reason === before.reason)
      : !before;
    if (isSame) return unchanged(existing);
    if (held)
      holds.place(existing.id, {
        since: this.#now,
        ...before,
        ...(reason !== undefined && { reason }),
      });
    else holds.release(existing.id);
    this.#log.hold(existing);
    return { ...unchanged(existing), status: held ? 'held' : 'released' };
  }

  #checkHold(key: LocalKey, existing: ManifestRow | undefined): void {
    const hold = existing && this.#index.holds.find(existing.id);
    if (hold !== undefined) throw heldError(key, hold);
  }

  #adopt(write: AdoptWrite): WriteOutcome {
    const upload = this.#find(write.upload);
    if (upload === undefined) {
      throw new VarveError(
        'CONFLICT',
        `the upload of ${describe(write.key)} was collected before it ended: start it again`,
      );
    }
    const existing = this.#find(write.key);
    checkRevision(write.key, existing, write.ifRevision);
    const decided = this.#decidePut(write, existing, () =>
      this.#isSame(existing as ManifestRow, upload),
    );
    if (decided !== undefined) {
      this.#release(this.#planRelease(upload));
      this.#index.manifests.remove(upload);
      return decided;
    }
    this.#checkHold(write.key, existing);
    const released = this.#planRelease(existing);
    const bodies = this.#index.manifests.bodies(upload);
    this.#index.manifests.remove(upload);
    const row = this.#publish(write.key, existing, write.fields, bodies);
    this.#release(released);
    return {
      status: existing === undefined ? 'created' : 'replaced',
      revision: revisionOf(row),
      newSegments: 0,
      newBytes: 0,
    };
  }

  /**
   * The outcome of a put that need not store anything, or throws, or `undefined` when it has to.
   */
  #decidePut(
    { key, ifExists, fields }: Pick<WithLocalKey<PutWrite>, 'key' | 'ifExists' | 'fields'>,
    existing: ManifestRow | undefined,
    hasSameEntries: () => boolean,
  ): WriteOutcome | undefined {
    if (existing === undefined) return undefined;
    try {
      if (this.#index.manifests.hasFields(existing, fields) && hasSameEntries())
        return unchanged(existing);
    } catch (error) {
      // To replace what cannot be read is how one restores it.
      if (!isUnreadable(error) || ifExists !== 'replace') throw error;
    }
    if (ifExists === 'replace') return undefined;
    if (ifExists === 'skip') return { ...unchanged(existing), status: 'skipped' };
    throw new VarveError(
      'ALREADY_EXISTS',
      `${describe(key)} exists with other content: choose what to do with ifExists (skip, ` +
        'replace or append)',
    );
  }

  #find(key: LocalKey): ManifestRow | undefined {
    return this.#index.manifests.find(key, this.#newManifests);
  }

  #resolve(address: Address): number | undefined {
    return this.#newSegments.get(address) ?? this.#index.segments.find(address, true);
  }

  /** Plans the entries: finds or reads every segment. Changes nothing that outlives a failure. */
  #stage(entries: readonly NewEntry[]): Staged {
    const segments = new Map<Address, StagedSegment>();
    let next = this.#nextSegment;
    const staged = entries.map((entry) => {
      const records = entry.segments.map((segment) => {
        const known = this.#resolve(segment.address) ?? segments.get(segment.address)?.record;
        if (known !== undefined) {
          this.#healOne(known, segment);
          return known;
        }
        const tokens = segment.encoding === 'tokens';
        const record = next++;
        segments.set(segment.address, {
          address: segment.address,
          record,
          bytes: checkedBytes(segment),
          tokens,
        });
        return record;
      });
      return { segments: records, body: entry.body };
    });
    return { entries: staged, segments };
  }

  /** Takes the bytes of segments that are stored, but damaged. */
  #heal(entries: readonly NewEntry[]): void {
    if (this.#index.damaged.size === 0) return;
    for (const segment of entries.flatMap(({ segments }) => segments)) {
      const known = this.#resolve(segment.address);
      if (known !== undefined) this.#healOne(known, segment);
    }
  }

  #healOne(record: number, segment: NewSegment): void {
    if (segment.bytes === null || !this.#healing.needs(record)) return;
    const tokens = segment.encoding === 'tokens';
    const bytes = checkedBytes(segment);
    this.#healing.take(record, segment.address, tokens ? packTokens(bytes) : bytes, tokens);
  }

  /** Stores planned entries and counts their references; returns the record ids of their bodies. */
  #store({ entries, segments }: Staged, key: LocalKey): number[] {
    this.#changed = true;
    for (const { address, record, bytes, tokens } of segments.values()) {
      this.#segmentBlocks.add({
        id: record,
        bytes: tokens ? packTokens(bytes) : bytes,
        tokens,
        address,
      });
      this.#newSegments.set(address, record);
      this.#nextSegment = record + 1;
    }
    const owner = ownerMark(key);
    return entries.map((entry) => {
      for (const segment of new Set(entry.segments)) this.#index.ledger.add(segment, 1);
      const id = this.#nextBody++;
      this.#bodyBlocks.add({ id, bytes: encodeBodyRecord({ owner, ...entry }), tokens: false });
      return id;
    });
  }

  /** Makes the row of a key name these bodies. */
  #publish(
    key: LocalKey,
    existing: ManifestRow | undefined,
    fields: ManifestFields,
    bodies: readonly number[],
  ): ManifestRow {
    if (existing !== undefined) {
      const dropped = this.#index.manifests.bodies(existing);
      const row = this.#index.manifests.replace(existing, bodies, fields, this.#now);
      this.#log.put(row, bodies, dropped);
      return row;
    }
    const row = this.#index.manifests.insert(
      KIND_NUMBERS[key.kind],
      key.id,
      bodies,
      fields,
      this.#now,
    );
    this.#log.put(row, bodies, []);
    this.#newManifests.set(manifestName(key), row.id);
    this.#manifestEntries.push(manifestEntry(key, row.id));
    return row;
  }

  /**
   * Reads what a manifest references, to be released. A body that cannot be read, or is another
   * manifest's, is left alone: what it holds leaks until an audit.
   */
  #planRelease(row: ManifestRow | undefined): Released[] {
    if (row === undefined) return [];
    return this.#index.manifests.bodies(row).flatMap((body) => {
      try {
        return [{ body, segments: new Set(this.#bodyOf(row, body).segments) }];
      } catch (error) {
        if (isUnreadable(error)) return [];
        throw error;
      }
    });
  }

  /** Gives back references; the bodies that held them become garbage. */
  #release(released: readonly Released[]): void {
    this.#changed = true;
    for (const { body, segments } of released) {
      for (const segment of segments) this.#index.ledger.add(segment, -1);
      this.#index.ledger.set(BODIES, body, 0, this.#now);
    }
  }

  /** Whether exactly these entries are what a manifest holds. */
  #isStored(row: ManifestRow, entries: readonly NewEntry[]): boolean {
    const bodies = this.#index.manifests.bodies(row);
    if (bodies.length !== entries.length) return false;
    return bodies.every((id, number) => {
      const stored = this.#bodyOf(row, id);
      const entry = entries[number] as NewEntry;
      return (
        stored.segments.length === entry.segments.length &&
        Buffer.compare(stored.body, entry.body) === 0 &&
        entry.segments.every(
          (segment: NewSegment, at) => this.#resolve(segment.address) === stored.segments[at],
        )
      );
    });
  }

  #isSame(a: ManifestRow, b: ManifestRow): boolean {
    const [bodiesOfA, bodiesOfB] = [
      this.#index.manifests.bodies(a),
      this.#index.manifests.bodies(b),
    ];
    if (bodiesOfA.length !== bodiesOfB.length) return false;
    return bodiesOfA.every((id, number) => {
      const [first, second] = [this.#bodyOf(a, id), this.#bodyOf(b, bodiesOfB[number] as number)];
      return (
        Buffer.compare(first.body, second.body) === 0 &&
        first.segments.length === second.segments.length &&
        first.segments.every((segment, at) => segment === second.segments[at])
      );
    });
  }

  #bodyOf(row: ManifestRow, id: number): BodyRecord {
    // Bodies of this very transaction may still be in an open block.
    if (id >= this.#firstBody) this.#bodyBlocks.flush();
    return this.#index.body(id, this.#index.manifests.key(row));
  }
}

function checkRevision(
  key: LocalKey,
  existing: ManifestRow | undefined,
  expected: Revision | undefined,
): void {
  if (expected === undefined) return;
  const actual = existing === undefined ? undefined : revisionOf(existing);
  if (actual === expected) return;
  const state = actual === undefined ? 'does not exist' : `is at revision ${actual}`;
  throw new VarveError(
    'CONFLICT',
    `${describe(key)} ${state}, not at revision ${expected}: read it again, then decide`,
  );
}

function describe({ kind, id }: LocalKey | ManifestKey): string {
  return `${kind} ${JSON.stringify(id)}`;
}

function unchanged(row: ManifestRow): WriteSuccess {
  return { status: 'unchanged', revision: revisionOf(row), newSegments: 0, newBytes: 0 };
}

function success(
  status: WriteSuccess['status'],
  row: ManifestRow,
  { segments }: Staged,
): WriteSuccess {
  let newBytes = 0;
  for (const { bytes } of segments.values()) newBytes += bytes.length;
  return { status, revision: revisionOf(row), newSegments: segments.size, newBytes };
}
