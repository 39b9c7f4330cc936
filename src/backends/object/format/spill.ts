import { type Address, addressOf } from '../../../core/address.ts';
import { MAX_SEGMENT_BYTES, type NewSegment } from '../../contract/manifests.ts';
import {
  type DraftContent,
  pagesOf,
  type RecordBody,
  type RecordEntry,
  type SpilledPart,
} from './manifest-record.ts';

/**
 * Moves the inline bodies of a manifest with more than `above` bytes of them into segments of its
 * own, so that an append need not write all of them again. A spilled body is never rewritten:
 * growth costs only what is new.
 */
export function spill(
  content: DraftContent,
  above: number,
): { readonly content: DraftContent; readonly sources: ReadonlyMap<Address, NewSegment> } {
  const inline = content.entries.flatMap(({ body }) =>
    body.kind === 'inline' ? [body.bytes] : [],
  );
  const total = inline.reduce((sum, { length }) => sum + length, 0);
  const sources = new Map<Address, NewSegment>();
  if (total <= above) return { content, sources };
  const all = Buffer.concat(inline);
  const parts: SpilledPart[] = [];
  for (let start = 0; start < all.length; start += MAX_SEGMENT_BYTES) {
    const bytes = all.subarray(start, start + MAX_SEGMENT_BYTES);
    const address = addressOf(bytes);
    parts.push({ address, length: bytes.length });
    sources.set(address, { address, encoding: 'bytes', bytes: () => bytes });
  }
  let position = 0;
  const entries = content.entries.map((entry): RecordEntry => {
    if (entry.body.kind !== 'inline') return entry;
    const body = spilled(entry.body.bytes, position, parts);
    position += body.length;
    return { ...entry, body };
  });
  return { content: { ...content, entries }, sources };
}

function spilled(
  bytes: Uint8Array,
  position: number,
  parts: readonly SpilledPart[],
): RecordBody & { length: number } {
  const first = Math.floor(position / MAX_SEGMENT_BYTES);
  const end = Math.ceil((position + bytes.length) / MAX_SEGMENT_BYTES);
  return {
    kind: 'spilled',
    digest: addressOf(bytes),
    offset: position % MAX_SEGMENT_BYTES,
    length: bytes.length,
    parts: parts.slice(first, Math.max(end, first)),
  };
}

/** Cuts a spilled body out of the bytes of its parts, whose memory it may share. */
export function unspill(
  { offset, length }: { offset: number; length: number },
  parts: readonly Uint8Array[],
): Uint8Array {
  const whole = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  return whole.subarray(offset, offset + length);
}

/** Every segment that a record with this content references, each once. */
export function neededByContent(content: DraftContent): Set<Address> {
  const needed = new Set<Address>();
  for (const entry of content.entries) for (const address of neededBy(entry)) needed.add(address);
  for (const address of pagesOf(content)) needed.add(address);
  return needed;
}

/** Every segment that an entry needs, each once. */
export function neededBy({ body, segments }: RecordEntry): Set<Address> {
  const spilledTo = body.kind === 'spilled' ? body.parts.map(({ address }) => address) : [];
  return new Set([...segments, ...spilledTo]);
}
