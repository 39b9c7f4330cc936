import { ByteReader, ByteWriter } from '../../varint.ts';

/**
 * The record of a manifest entry: varint number of references; for each a zigzag varint, the segment's record id minus
 * that of the reference before (from 0); then the body as the layers above wrote it. Ids are small and near each other, so a
 * reference costs a byte or two before compression where an address would cost 32 that do not compress.
 */
export interface BodyRecord {
  readonly segments: readonly number[];
  readonly body: Uint8Array;
}

export function encodeBodyRecord({ segments, body }: BodyRecord): Buffer {
  const out = new ByteWriter(segments.length * 3 + body.length + 8);
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
  const segments: number[] = [];
  let previous = 0;
  for (let count = reader.varint(); count > 0; count--) {
    previous += reader.signed();
    segments.push(previous);
  }
  return { segments, body: reader.rest() };
}
