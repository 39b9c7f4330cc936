import { listPages } from '../../src/backends/storage/listing.ts';
import type { ObjectStore } from '../../src/backends/storage/object-store.ts';
import { ServerClock } from '../../src/backends/storage/server-clock.ts';
import { decodeFrame } from '../../src/cas/codec/frame.ts';
import { SystemClock } from '../../src/core/system/system-clock.ts';

/** The keys of objects that contain any of the texts, compressed or not. */
export async function holding(store: ObjectStore, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const page of listPages(
    { store, serverClock: new ServerClock(new SystemClock()) },
    '',
  )) {
    for (const { key } of page) {
      const body = Buffer.from((await store.get(key))?.body ?? []);
      const isFrame = body.subarray(0, 3).toString() === 'VFR';
      const plain = isFrame ? Buffer.from(decodeFrame(body, key)) : body;
      if (texts.some((text) => plain.includes(text))) found.push(key);
    }
  }
  return found;
}
