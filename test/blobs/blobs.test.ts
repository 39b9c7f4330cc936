import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Revision } from '../../src/backends/contract/manifests.ts';
import type { ByteSource } from '../../src/core/byte-source.ts';
import { decodeBlobEntry, encodeBlobEntry } from '../../src/manifest/blobs/blob-body.ts';
import type { GetBlobOptions } from '../../src/manifest/blobs/blob-options.ts';
import { Blobs } from '../../src/manifest/blobs/blobs.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import { auditOf, idsOf } from '../conformance/builders.ts';
import { ModelBackend } from '../conformance/model-backend.ts';

let backend: ModelBackend;
let blobs: Blobs;

beforeEach(() => {
  backend = new ModelBackend();
  blobs = new Blobs(backend);
});

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function bytesOf(name: string, options?: GetBlobOptions): Promise<Buffer | undefined> {
  const content = await blobs.get(name, options);
  return content && joined(content);
}

async function joined(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('put and get', () => {
  test.each([0, 1, 1000, 16_384, 65_536, 300_000, 3_000_000, 10_000_000])(
    'give back %d bytes',
    async (length) => {
      const bytes = randomBytes(length, length);
      const receipt = await blobs.put('file', inPieces(bytes, 50_000));
      expect(receipt).toMatchObject({
        name: 'file',
        status: 'created',
        bytes: length,
        sha256: sha256(bytes),
      });
      expect(receipt.newBytes).toBe(length);
      expect((await bytesOf('file'))?.equals(bytes)).toBe(true);
      expect((await auditOf(backend)).findings).toEqual([]);
    },
  );

  test('describe a blob without reading it', async () => {
    const bytes = randomBytes(1, 500_000);
    const { revision } = await blobs.put('file', bytes, {
      contentType: 'text/plain; charset=utf-8',
      application: 'desk',
    });
    const stat = await blobs.stat('file');
    expect(stat).toEqual({
      name: 'file',
      bytes: 500_000,
      sha256: sha256(bytes),
      contentType: 'text/plain; charset=utf-8',
      application: 'desk',
      revision,
      createdAt: expect.any(Number),
      updatedAt: expect.any(Number),
      chunks: expect.any(Number),
    });
    expect(stat?.chunks).toBeGreaterThan(2);
    expect((await blobs.get('file'))?.stat).toEqual(stat);
    expect(await blobs.stat('other')).toBeUndefined();
    expect(await blobs.get('other')).toBeUndefined();
  });

  test('cut the same bytes the same way, whatever pieces they come in', async () => {
    const bytes = randomBytes(2, 6_000_000);
    const sources: ByteSource[] = [
      bytes,
      [bytes.subarray(0, 7), new Uint8Array(0), bytes.subarray(7)],
      inPieces(bytes, 1000),
      inPieces(bytes, 5_999_999),
      Readable.from(inPieces(bytes, 70_000)),
      Readable.toWeb(Readable.from(inPieces(bytes, 70_000))) as AsyncIterable<Uint8Array>,
    ];
    const { revision } = await blobs.put('file', bytes);
    for (const source of sources) {
      const again = await blobs.put('file', source);
      expect(again).toMatchObject({
        status: 'unchanged',
        revision,
        newSegments: 0,
        newBytes: 0,
        sha256: sha256(bytes),
      });
    }
  });

  test('take sources that use their memory again', async () => {
    const bytes = randomBytes(3, 400_000);
    const memory = Buffer.alloc(1000);
    async function* source() {
      for (let at = 0; at < bytes.length; at += memory.length) {
        bytes.copy(memory, 0, at);
        yield memory;
      }
    }
    await blobs.put('file', source());
    expect((await bytesOf('file'))?.equals(bytes)).toBe(true);
  });

  test('share what versions of a file have in common', async () => {
    const bytes = randomBytes(4, 4_000_000);
    const edited = Buffer.concat([
      bytes.subarray(0, 2_000_000),
      Buffer.from('an insert'),
      bytes.subarray(2_000_000),
    ]);
    await blobs.put('v1', bytes);
    const receipt = await blobs.put('v2', edited);
    expect(receipt.newBytes).toBeLessThan(600_000);
    expect((await bytesOf('v2'))?.equals(edited)).toBe(true);
  });

  test('follow ifExists and ifRevision', async () => {
    const [one, two] = [randomBytes(1, 1000), randomBytes(2, 2000)];
    const { revision } = await blobs.put('file', one);
    await expect(blobs.put('file', two)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await blobs.put('file', two, { ifExists: 'skip' })).toMatchObject({
      status: 'skipped',
      revision,
    });
    expect((await bytesOf('file'))?.equals(one)).toBe(true);
    const replaced = await blobs.put('file', two, { ifExists: 'replace', ifRevision: revision });
    expect(replaced.status).toBe('replaced');
    const stale = { ifExists: 'replace', ifRevision: revision } as const;
    await expect(blobs.put('file', one, stale)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect((await bytesOf('file'))?.equals(two)).toBe(true);
  });

  test('of the same bytes under another content type is other content', async () => {
    await blobs.put('file', Buffer.from('{}'), { contentType: 'text/plain' });
    const again = blobs.put('file', Buffer.from('{}'), { contentType: 'application/json' });
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  test.each(['', '\ud800', 'x'.repeat(513)])('refuse an impossible name', async (name) => {
    await expect(blobs.put(name, Buffer.from('x'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test.each([
    ['a string', 'text'],
    ['a number', 5],
    ['nothing', undefined],
    ['an iterable of strings', ['text']],
    ['a stream of strings', Readable.from(['text'])],
  ])('refuse %s as a source', async (_, source) => {
    const put = blobs.put('file', source as unknown as ByteSource);
    await expect(put).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await blobs.stat('file')).toBeUndefined();
  });

  test('hand on what the source throws, and store nothing visible', async () => {
    const broken = new Error('the disk is gone');
    async function* source() {
      yield randomBytes(1, 9_000_000);
      throw broken;
    }
    await expect(blobs.put('file', source())).rejects.toBe(broken);
    expect(await blobs.stat('file')).toBeUndefined();
    expect(await idsOf(backend.list('blob'))).toEqual([]);
  });

  test('hold one bounded piece of the blob at a time', async () => {
    let inFlight = 0;
    let largest = 0;
    class Measured extends ModelBackend {
      override async publish(...[write, entries, fields]: Parameters<ModelBackend['publish']>) {
        async function* counted() {
          for await (const entry of entries) {
            const size = entry.segments.reduce(
              (sum, segment) => sum + (segment.bytes?.().length ?? 0),
              0,
            );
            largest = Math.max(largest, size);
            inFlight += 1;
            yield entry;
          }
        }
        return super.publish(write, counted(), fields);
      }
    }
    const measured = new Blobs(new Measured());
    await measured.put('file', randomBytes(6, 30_000_000));
    expect(inFlight).toBeGreaterThanOrEqual(6);
    expect(inFlight).toBeLessThanOrEqual(8);
    expect(largest).toBeLessThan(5_000_000);
  });
});

describe('a range', () => {
  const bytes = randomBytes(7, 2_500_000);

  test('is what a slice of the whole is', async () => {
    await blobs.put('file', bytes);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: bytes.length }),
        fc.nat({ max: bytes.length + 100 }),
        async (a, b) => {
          const [start, end] = [Math.min(a, b), Math.max(a, b)];
          const content = await blobs.get('file', { start, end });
          expect([content?.start, content?.end]).toEqual([start, Math.min(end, bytes.length)]);
          expect((await bytesOf('file', { start, end }))?.equals(bytes.subarray(start, end))).toBe(
            true,
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test('may lie on the bounds of chunks, and be empty or a byte', async () => {
    await blobs.put('file', bytes);
    const pieces: number[] = [];
    for await (const piece of (await blobs.get('file')) ?? expect.unreachable())
      pieces.push(piece.length);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(256 * 1024);
    let at = 0;
    for (const length of [...pieces, 0]) {
      for (const [start, end] of [
        [at, at + length],
        [at - 1, at],
        [at, at],
        [at, at + 1],
      ] as const) {
        if (start < 0) continue;
        expect((await bytesOf('file', { start, end }))?.equals(bytes.subarray(start, end))).toBe(
          true,
        );
      }
      at += length;
    }
    expect((await bytesOf('file', { start: bytes.length - 1 }))?.length).toBe(1);
    expect((await bytesOf('file', { end: 1 }))?.length).toBe(1);
  });

  test.each([
    { start: -1 },
    { start: 5, end: 4 },
    { start: 1.5 },
    { end: Number.NaN },
    { start: 2_500_001 },
    { start: 2_500_001, end: 2_500_010 },
    { start: 0, end: -1 },
  ])('that is invalid is refused: %o', async (range) => {
    await blobs.put('file', bytes);
    await expect(blobs.get('file', range)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('comes in pieces of at least a byte', async () => {
    await blobs.put('file', bytes);
    let start = 0;
    for await (const { length } of (await blobs.get('file')) ?? expect.unreachable()) {
      for await (const piece of (await blobs.get('file', { start })) ?? expect.unreachable()) {
        expect(piece.length).toBeGreaterThan(0);
      }
      start += length;
    }
  });

  test('fetches no more than it needs and a little ahead', async () => {
    let fetched = 0;
    class Counted extends ModelBackend {
      override async fetch(...args: Parameters<ModelBackend['fetch']>) {
        const chunks = await super.fetch(...args);
        fetched += chunks.reduce((sum, { length }) => sum + length, 0);
        return chunks;
      }
    }
    const counted = new Blobs(new Counted());
    await counted.put('file', randomBytes(8, 20_000_000));
    await joined(
      (await counted.get('file', { start: 9_000_000, end: 9_000_100 })) ?? expect.unreachable(),
    );
    expect(fetched).toBeLessThanOrEqual(512 * 1024);
    fetched = 0;
    for await (const _ of (await counted.get('file')) ?? expect.unreachable()) break;
    expect(fetched).toBeLessThanOrEqual(2.5 * 1024 * 1024);
  });

  test('can be read several times', async () => {
    await blobs.put('file', bytes);
    const content = (await blobs.get('file')) ?? expect.unreachable();
    const [first, second] = await Promise.all([joined(content), joined(content)]);
    expect([
      first.equals(bytes),
      second.equals(bytes),
      (await joined(content)).equals(bytes),
    ]).toEqual([true, true, true]);
  });
});

describe('reading while others write', () => {
  const [one, two] = [randomBytes(1, 5_000_000), randomBytes(2, 4_000_000)];

  async function replaceAndCollect(): Promise<void> {
    await blobs.put('file', two, { ifExists: 'replace' });
    await backend.collect({ graceMs: 0 });
  }

  test('gives the blob as it was, as long as its chunks are there', async () => {
    await blobs.put('file', one);
    const content = (await blobs.get('file')) ?? expect.unreachable();
    await blobs.put('file', two, { ifExists: 'replace' });
    expect((await joined(content)).equals(one)).toBe(true);
  });

  test('starts again when the chunks went before the first byte', async () => {
    await blobs.put('file', one);
    let races = 0;
    const racing = new Blobs(
      intercepted('fetch', async () => {
        races += 1;
        if (races === 1) await replaceAndCollect();
      }),
    );
    const content = (await racing.get('file')) ?? expect.unreachable();
    expect(content.stat.sha256).toBe(sha256(two));
    expect((await joined(content)).equals(two)).toBe(true);
  });

  test('finds nothing when the blob was deleted before the first byte', async () => {
    await blobs.put('file', one);
    const racing = new Blobs(
      intercepted('fetch', async () => {
        await blobs.delete('file');
        await backend.collect({ graceMs: 0 });
      }),
    );
    expect(await racing.get('file')).toBeUndefined();
  });

  test('conflicts when the chunks went after the first byte', async () => {
    await blobs.put('file', one);
    const content = (await blobs.get('file')) ?? expect.unreachable();
    const seen: Uint8Array[] = [];
    const reading = async () => {
      for await (const piece of content) {
        if (seen.length === 0) await replaceAndCollect();
        seen.push(piece);
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'CONFLICT' });
    const read = Buffer.concat(seen);
    expect(read.length).toBeGreaterThan(0);
    expect(read.equals(one.subarray(0, read.length))).toBe(true);
  });

  test('calls a missing chunk of an unchanged blob corrupt', async () => {
    await blobs.put('file', one);
    const [manifest] = await backend.read([{ kind: 'blob', id: 'file' }]);
    const lost = new Set([manifest?.entries[0]?.segments[40]]);
    const losing = intercepted('fetch', async (locators: unknown) => {
      if ((locators as never[]).some((locator) => lost.has(locator))) {
        await new ModelBackend().fetch(locators as never[]);
      }
    });
    const content = (await new Blobs(losing).get('file')) ?? expect.unreachable();
    await expect(joined(content)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('file'),
    });
    lost.add(manifest?.entries[0]?.segments[0]);
    await expect(new Blobs(losing).get('file')).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  function intercepted(verb: 'fetch', before: (argument: unknown) => Promise<void>): ModelBackend {
    return new Proxy(backend, {
      get(target, property) {
        const value = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        if (property !== verb) return value.bind(target);
        return async (...args: unknown[]) => {
          await before(args[0]);
          return value.apply(target, args);
        };
      },
    });
  }
});

describe('damage', () => {
  test('to a chunk is reported before any of its bytes are handed out', async () => {
    const bytes = randomBytes(1, 1_000_000);
    await blobs.put('file', bytes);
    const [manifest] = await backend.read([{ kind: 'blob', id: 'file' }]);
    const described = await backend.describe(manifest?.entries[0]?.segments ?? []);
    const damaged = described[5]?.address ?? expect.unreachable();
    backend.damage(damaged);
    const error = { code: 'CORRUPT', message: expect.stringContaining(damaged) };
    await expect(bytesOf('file')).rejects.toMatchObject(error);
  });

  test('that exchanges chunks is found by the SHA-256 of the whole', async () => {
    const bytes = randomBytes(1, 1_000_000);
    await blobs.put('file', bytes);
    const [manifest] = await backend.read([{ kind: 'blob', id: 'file' }]);
    const [last] = manifest?.entries ?? [];
    const described = await backend.describe(last?.segments ?? []);
    // The same chunks, and what the body says of them, in another order.
    const { lengths, end } = decodeBlobEntry(last?.body ?? Buffer.alloc(0), 'test');
    const segments = described
      .map(({ address, encoding }) => ({ address, encoding, bytes: null }))
      .reverse();
    const body = encodeBlobEntry({ lengths: [...lengths].reverse(), end });
    const key = { kind: 'blob', id: 'swapped' } as const;
    const fields = { logicalBytes: 1_000_000 };
    await backend.commit([
      { operation: 'put', key, ifExists: 'error', fields, entries: [{ body, segments }] },
    ]);
    const handedOut: Uint8Array[] = [];
    const reading = async () => {
      for await (const piece of (await blobs.get('swapped')) ?? []) handedOut.push(piece);
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('SHA-256'),
    });
    expect(Buffer.concat(handedOut).length).toBeLessThan(1_000_000);
    expect((await bytesOf('swapped', { start: 1 }))?.length).toBe(999_999);
  });
});

describe('list and delete', () => {
  test('list heads, filtered and ordered', async () => {
    for (const [name, application] of [
      ['b', 'x'],
      ['a', 'y'],
      ['c', 'x'],
    ] as const) {
      await blobs.put(name, Buffer.from(`content of ${name}`), { application });
    }
    const heads = [];
    for await (const head of blobs.list({ application: 'x' })) heads.push(head);
    expect(heads.map(({ name, bytes, application }) => ({ name, bytes, application }))).toEqual([
      { name: 'b', bytes: 12, application: 'x' },
      { name: 'c', bytes: 12, application: 'x' },
    ]);
  });

  test('delete a blob, once', async () => {
    await blobs.put('file', Buffer.from('x'));
    await expect(blobs.delete('file', { ifRevision: 'other' as Revision })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await blobs.delete('file')).toBe(true);
    expect(await blobs.delete('file')).toBe(false);
    expect(await blobs.get('file')).toBeUndefined();
  });

  test('expired blobs are collected', async () => {
    await blobs.put('file', Buffer.from('x'), { expiresAt: 1 });
    expect((await blobs.stat('file'))?.expiresAt).toBe(1);
    await backend.collect({ graceMs: 0 });
    expect(await blobs.stat('file')).toBeUndefined();
    expect((await backend.usage()).segments).toBe(0);
  });
});

describe('an abort', () => {
  test('stops every method', async () => {
    await blobs.put('file', Buffer.from('x'));
    const aborted = { signal: AbortSignal.abort() };
    const calls: (() => Promise<unknown>)[] = [
      () => blobs.put('other', Buffer.from('x'), aborted),
      () => blobs.get('file', aborted),
      () => blobs.stat('file', aborted),
      () => blobs.delete('file', aborted),
      () => blobs.list(aborted).next(),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await idsOf(backend.list('blob'))).toEqual(['file']);
  });

  test('does not wait for a source that keeps silent', async () => {
    const controller = new AbortController();
    let closed = false;
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => {
          closed = true;
          return new Promise(() => undefined);
        },
      }),
    };
    setTimeout(() => controller.abort(), 20);
    await expect(blobs.put('file', silent, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    expect(closed).toBe(true);
  });

  test('ends a read that is under way', async () => {
    await blobs.put('file', randomBytes(1, 5_000_000));
    const controller = new AbortController();
    const content =
      (await blobs.get('file', { signal: controller.signal })) ?? expect.unreachable();
    const reading = async () => {
      for await (const _ of content) controller.abort();
    };
    await expect(reading()).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
