import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';

/**
 * The record of a manifest entry: two bytes of a hash of the manifest's kind and id (`ownerMark`);
 * varint number of references; for each a zigzag varint, the segment's record id minus that of the
 * previous reference (initially 0); then the body as the layers above wrote it.
 *
 * Ids are small and close together, so a reference costs a byte or two before compression, where an
 * address would cost 32 incompressible bytes. The mark lets a reader notice that the index led it
 * to the body of another manifest, whose text would verify: SQLite's pages carry no checksum.
 */
export interface BodyRecord {
  /** 0 to 65,535. */
  readonly owner: number;
  readonly segments: readonly number[];
  readonly body: Uint8Array;
}

const OWNER_BYTES = 2;

export function encodeBodyRecord({ owner, segments, body }: BodyRecord): Buffer {
  const out = new ByteWriter(segments.length * 3 + body.length + 10);
  out.bytes(Uint8Array.of(owner >>> 8, owner & 255));
  out.varint(segments.length);
  let previous = 0;
  for (const segment of segments) {
    out.signed(segment - previous);
    previous = segment;
  }
  out.bytes(body);
  return out.view();
}

/** @throws `CORRUPT`, naming `what`. */
export function decodeBodyRecord(record: Uint8Array, what: string): BodyRecord {
  const reader = new ByteReader(record, what);
  const owner = reader.bytes(OWNER_BYTES).readUInt16BE(0);
  const segments: number[] = [];
  let previous = 0;
  for (let count = reader.varint(); count > 0; count--) {
    previous += reader.signed();
    segments.push(previous);
  }
  return { owner, segments, body: reader.rest() };
}
