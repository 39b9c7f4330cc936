import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAhead } from '../../../core/concurrency.ts';
import { listPages } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { parseSegmentKey, SEGMENTS_PREFIX } from '../format/keys.ts';
import type { Generation } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';

/** What a listing shows of one segment. */
export interface ListedSegment {
  readonly address: Address;
  readonly hasSidecar: boolean;
  readonly generations: readonly Generation[];
}

/** Every segment that has a sidecar or data, in the order of addresses. */
export async function* listSegments(
  protocol: Protocol,
  options: AbortOptions = {},
): AsyncGenerator<ListedSegment, void, undefined> {
  let last: { address: Address; hasSidecar: boolean; generations: Generation[] } | undefined;
  for await (const { key } of listSegmentObjects(protocol, options)) {
    const parsed = parseSegmentKey(key);
    if (parsed === undefined) continue;
    if (parsed.address !== last?.address) {
      if (last !== undefined) yield last;
      last = { address: parsed.address, hasSidecar: false, generations: [] };
    }
    if (parsed.generation === undefined) last.hasSidecar = true;
    else last.generations.push(parsed.generation);
  }
  if (last !== undefined) yield last;
}

/** Pages that are listed one after the other, before it pays to list several ranges at once. */
const SERIAL_PAGES = 4;

/** Objects that a range should have: mostly, one request lists it. */
const RANGE_OBJECTS = 800;

/** Ranges listed at once. */
const RANGES_AHEAD = 16;

/** Digits of an address that show its place among all addresses. */
const DIGITS = 12;
const END = 16 ** DIGITS;

/**
 * Every object below `segments/`, in the order of keys. Addresses are hashes, so the first pages
 * show how far apart they are. From then on ranges of addresses are listed, several at once.
 */
export async function* listSegmentObjects(
  protocol: Protocol,
  { signal }: AbortOptions = {},
): AsyncGenerator<ListedObject, void, undefined> {
  /** What was listed so far: objects, and how much of the range of all addresses they take. */
  const seen = { objects: 0, width: 0 };
  let after: string | undefined;
  let pages = 0;
  for await (const page of listPages(protocol, SEGMENTS_PREFIX, abortOf(signal))) {
    yield* page;
    after = page.at(-1)?.key;
    seen.objects += page.length;
    if (++pages === SERIAL_PAGES) break;
  }
  if (after === undefined || pages < SERIAL_PAGES) return;
  const first = after;
  seen.width = placeOf(first);
  const ranges = function* (): Generator<Range, void, undefined> {
    for (let start = seen.width, from = first; ; ) {
      const width = Math.ceil((RANGE_OBJECTS * seen.width) / seen.objects);
      const end = start + Math.max(1, width);
      const until = end < END ? keyAt(end) : undefined;
      yield { from, until, width: end - start };
      if (until === undefined) return;
      start = end;
      from = until;
    }
  };
  const list = async ({ from, until, width }: Range) => {
    const objects = await listRange(protocol, from, until, signal);
    seen.objects += objects.length;
    seen.width += width;
    return objects;
  };
  for await (const objects of mapAhead(ranges(), { count: RANGES_AHEAD }, list)) yield* objects;
}

/** Keys after `from` and before `until`; without it, all of them. */
interface Range {
  readonly from: string;
  readonly until: string | undefined;
  readonly width: number;
}

async function listRange(
  protocol: Protocol,
  from: string,
  until: string | undefined,
  signal: AbortSignal | undefined,
): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  const options = { after: from, ...abortOf(signal) };
  for await (const page of listPages(protocol, SEGMENTS_PREFIX, options)) {
    for (const object of page) {
      if (until !== undefined && object.key >= until) return objects;
      objects.push(object);
    }
  }
  return objects;
}

/**
 * Where a key is among all addresses, from 0 to {@link END}. Objects that Varve did not put there
 * count as the next address.
 */
function placeOf(key: string): number {
  const name = key.slice(SEGMENTS_PREFIX.length);
  const digits = /^[0-9a-f]{0,12}/.exec(name)?.[0] ?? '';
  const stranger = digits.length < DIGITS ? (name[digits.length] ?? '') : '';
  const isBehind = stranger > 'f';
  const next = stranger > '9' && !isBehind ? 'a' : '';
  const place = Number.parseInt(`${digits}${next}`.padEnd(DIGITS, isBehind ? 'f' : '0'), 16);
  return isBehind ? place + 1 : place;
}

function keyAt(place: number): string {
  return `${SEGMENTS_PREFIX}${place.toString(16).padStart(DIGITS, '0')}`;
}
