import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';

/**
 * A page of a fingerprint run: varint number of entries; then for each, ascending by key, varint
 * key minus the previous key (initially 0) and zigzag varint id minus the previous id (initially
 * 0). Sorted keys are close together, so an entry takes 5 to 8 bytes.
 */
export class FingerprintPage {
  readonly keys: Float64Array;
  readonly ids: Float64Array;

  private constructor(keys: Float64Array, ids: Float64Array) {
    this.keys = keys;
    this.ids = ids;
  }

  static decode(bytes: Uint8Array): FingerprintPage {
    const reader = new ByteReader(bytes, 'a page of fingerprints');
    const count = reader.varint();
    const keys = new Float64Array(count);
    const ids = new Float64Array(count);
    let key = 0;
    let id = 0;
    for (let at = 0; at < count; at++) {
      key += reader.varint();
      id += reader.signed();
      keys[at] = key;
      ids[at] = id;
    }
    reader.end();
    return new FingerprintPage(keys, ids);
  }

  static join(pages: readonly FingerprintPage[]): FingerprintPage {
    const length = pages.reduce((total, { keys }) => total + keys.length, 0);
    const joined = new FingerprintPage(new Float64Array(length), new Float64Array(length));
    let at = 0;
    for (const { keys, ids } of pages) {
      joined.keys.set(keys, at);
      joined.ids.set(ids, at);
      at += keys.length;
    }
    return joined;
  }

  /** Appends the ids under `key` to `found`. */
  lookup(key: number, found: number[]): void {
    const keys = this.keys;
    for (let at = lowerBound(keys, key); at < keys.length && keys[at] === key; at++)
      found.push(this.ids[at] as number);
  }
}

export function encodePage(entries: readonly FingerprintEntry[]): Buffer {
  const out = new ByteWriter(entries.length * 10 + 8);
  out.varint(entries.length);
  let previousKey = 0;
  let previousId = 0;
  for (const { key, id } of entries) {
    out.varint(key - previousKey);
    out.signed(id - previousId);
    previousKey = key;
    previousId = id;
  }
  return out.view();
}

/** The first position whose key is not below `key`, in ascending keys. */
export function lowerBound(keys: Float64Array, key: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
