import { packTokens } from '../../../cas/codec/token-codec.ts';
import type { Address } from '../../../core/address.ts';
import { isVarveError } from '../../../core/errors.ts';
import { StepMeter, type Steps } from '../../../core/steps.ts';
import type { NewSegment } from '../../contract/manifests.ts';
import { checkedBytes } from '../../contract/write-validation.ts';
import { type BlockRecord, blockFrame } from '../format/block.ts';
import { SEGMENTS } from '../format/schema.ts';
import type { BlockTuning, PreparedFrames } from '../packs/block-stager.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { LocalWrite } from './local-write.ts';

/** Smaller groups block the event loop for a moment only; preparing them would be in vain. */
const PREPARE_ABOVE_BYTES = 1024 * 1024;

/** Segments looked up in one snapshot. */
const SEGMENTS_PER_LOOK = 1024;

/**
 * The blocks of segments that a group of commits will need, as far as that can be foreseen: the
 * bytes are checked and compressed before the transaction, which nothing else of this process can
 * interrupt.
 *
 * A prediction, and nothing more: the transaction plans for itself, and takes a frame only for the
 * very records that it is of. When another process stores something in between, or a write fails,
 * record ids differ, and the transaction compresses.
 */
export class PreparedBlocks implements PreparedFrames {
  readonly #records = new Map<Address, PreparedRecord>();
  readonly #frames = new Map<number, PreparedFrame>();

  /** The checked bytes of a segment; `undefined` when it was not foreseen. */
  find({ address, encoding }: NewSegment): CheckedSegment | undefined {
    const prepared = this.#records.get(address);
    if (prepared?.record.tokens !== (encoding === 'tokens')) return undefined;
    return { bytes: prepared.bytes, stored: prepared.record.bytes };
  }

  frameOf(records: readonly BlockRecord[]): Buffer | undefined {
    const prepared = this.#frames.get(records[0]?.id ?? -1);
    const isSame =
      prepared?.records.length === records.length &&
      prepared.records.every(({ id, address, tokens }, at) => {
        const record = records[at] as BlockRecord;
        return record.id === id && record.address === address && record.tokens === tokens;
      });
    return isSame ? prepared.frame : undefined;
  }

  has(address: Address): boolean {
    return this.#records.has(address);
  }

  add(prepared: PreparedRecord): void {
    this.#records.set(prepared.record.address, prepared);
  }

  addFrame(records: readonly BlockRecord[], frame: Buffer): void {
    this.#frames.set(records[0]?.id ?? -1, { records, frame });
  }
}

/** The bytes of a new segment, checked against its address. */
export interface CheckedSegment {
  /** Canonical. */
  readonly bytes: Uint8Array;
  /** As blocks store them. */
  readonly stored: Uint8Array;
}

/** Checks the bytes of a new segment. @throws as {@link checkedBytes}. */
export function checkedSegment(segment: NewSegment): CheckedSegment {
  const bytes = checkedBytes(segment);
  return { bytes, stored: segment.encoding === 'tokens' ? packTokens(bytes) : bytes };
}

interface PreparedRecord {
  readonly record: BlockRecord & { readonly address: Address };
  /** Canonical. */
  readonly bytes: Uint8Array;
}

interface PreparedFrame {
  readonly records: readonly BlockRecord[];
  readonly frame: Buffer;
}

/** Foresees what {@link EntryWriter} does with these writes. */
export function* preparing(
  writes: readonly LocalWrite[],
  index: LocalIndex,
  { blockBytes, level }: BlockTuning,
): Steps<PreparedBlocks> {
  const prepared = new PreparedBlocks();
  if (writes.reduce((sum, write) => sum + bytesOf(write), 0) <= PREPARE_ABOVE_BYTES)
    return prepared;
  let id = index.database.meta('next_segment');
  let block: BlockRecord[] = [];
  let gathered = 0;
  const meter = new StepMeter();
  for (const some of lookups(writes)) {
    for (const segment of missing(some, prepared, index)) {
      let checked: CheckedSegment;
      try {
        checked = checkedSegment(segment);
      } catch (error) {
        // The transaction meets it again, and makes it the outcome of its write.
        if (isVarveError(error)) return prepared;
        throw error;
      }
      const { bytes, stored } = checked;
      const tokens = segment.encoding === 'tokens';
      const record = { id: id++, bytes: stored, tokens, address: segment.address };
      prepared.add({ record, bytes });
      if (gathered > 0 && gathered + stored.length > blockBytes) {
        prepared.addFrame(block, blockFrame(SEGMENTS, block, level));
        block = [];
        gathered = 0;
      }
      block.push(record);
      gathered += stored.length;
      if (meter.add(bytes.length)) yield;
    }
    yield;
  }
  if (gathered > 0) prepared.addFrame(block, blockFrame(SEGMENTS, block, level));
  return prepared;
}

function bytesOf(write: LocalWrite): number {
  if (write.operation === 'put') return write.fields.logicalBytes;
  return write.operation === 'append' ? write.logicalBytes : 0;
}

/** The segments of writes, some at a time. */
function* lookups(writes: readonly LocalWrite[]): Generator<NewSegment[], void, undefined> {
  let some: NewSegment[] = [];
  for (const write of writes) {
    if (write.operation !== 'put' && write.operation !== 'append') continue;
    for (const { segments } of write.entries) {
      for (const segment of segments) {
        some.push(segment);
        if (some.length < SEGMENTS_PER_LOOK) continue;
        yield some;
        some = [];
      }
    }
  }
  if (some.length > 0) yield some;
}

/** Those that are neither stored nor prepared, each once. */
function missing(
  segments: readonly NewSegment[],
  prepared: PreparedBlocks,
  index: LocalIndex,
): Iterable<NewSegment> {
  const found = new Map<Address, NewSegment>();
  index.database.snapshot(() => {
    index.refresh();
    for (const segment of segments) {
      const { address } = segment;
      if (prepared.has(address) || found.has(address)) continue;
      if (index.segments.find(address, true) === undefined) found.set(address, segment);
    }
  });
  return found.values();
}
