import type { ObjectStore } from '../../../src/backends/storage/object-store.ts';
import { decodeFrame, encodeFrame } from '../../../src/cas/codec/frame.ts';
import { ByteReader, ByteWriter } from '../../../src/cas/codec/varint.ts';

/** What objects hold is read and changed here without the protocol. */
export type Json = Record<string, unknown>;

/** The keys of at most 1,000 objects. */
export async function keysBelow(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await store.list(prefix)).objects.map(({ key }) => key);
}

export async function bytesOf(store: ObjectStore, key: string): Promise<Buffer> {
  const object = await store.get(key);
  if (object === undefined) throw new Error(`there is no object ${key}`);
  return Buffer.from(object.body);
}

export async function write(
  store: ObjectStore,
  key: string,
  body: Uint8Array | string,
): Promise<void> {
  await store.put(key, Buffer.from(body), { kind: 'any' });
}

/** Replaces fields of a JSON object. */
export async function alterJson<Value>(
  store: ObjectStore,
  key: string,
  change: (value: Value) => Json,
): Promise<void> {
  const value = JSON.parse((await bytesOf(store, key)).toString());
  await write(store, key, JSON.stringify({ ...value, ...change(value) }));
}

/** Replaces fields of the JSON of a manifest, as a later version may do. */
export async function alterHeader(
  store: ObjectStore,
  objectKey: string,
  change: (header: Json) => Json,
): Promise<void> {
  const frame = decodeFrame(await bytesOf(store, objectKey), objectKey);
  const reader = new ByteReader(frame, objectKey);
  const header = JSON.parse(reader.bytes(reader.varint()).toString());
  const json = Buffer.from(JSON.stringify({ ...header, ...change(header) }));
  const out = new ByteWriter();
  out.varint(json.length);
  out.bytes(json);
  out.bytes(reader.rest());
  await write(store, objectKey, encodeFrame(out.view(), { checksum: true }));
}
