import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { Segments } from '../../src/cas/segments.ts';
import { Blobs } from '../../src/manifest/blobs/blobs.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import { auditOf } from '../conformance/builders.ts';

let path: string;
let backend: LocalBackend;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'varve-'));
  backend = await LocalBackend.open(path);
});

afterEach(async () => {
  await backend.close();
  await rm(path, { recursive: true });
});

async function reopen(): Promise<void> {
  await backend.close();
  backend = await LocalBackend.open(path);
}

describe('in a local directory', () => {
  test('blobs outlive the process that put them, versions share chunks, and deleting gives chunks back', async () => {
    const v1 = randomBytes(1, 12_000_000);
    const v2 = Buffer.concat([
      v1.subarray(0, 5_000_000),
      Buffer.from('edited'),
      v1.subarray(5_000_100),
    ]);
    await new Blobs(backend).put('v1', v1);
    expect((await new Blobs(backend).put('v2', v2)).newBytes).toBeLessThan(1_000_000);
    await reopen();
    const blobs = new Blobs(backend);
    expect((await blobs.put('v2', v2)).status).toBe('unchanged');
    await blobs.delete('v1');
    await backend.collect({ graceMs: 0, full: true });
    const pieces: Uint8Array[] = [];
    for await (const piece of (await blobs.get('v2')) ?? []) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(v2)).toBe(true);
    const range: Uint8Array[] = [];
    for await (const piece of (await blobs.get('v2', { start: 4_999_990, end: 5_000_020 })) ?? [])
      range.push(piece);
    expect(Buffer.concat(range).equals(v2.subarray(4_999_990, 5_000_020))).toBe(true);
    expect((await backend.usage()).segmentBytes).toBe(v2.length);
    expect((await auditOf(backend)).findings).toEqual([]);
  });

  test('pins outlive the process that put them, and releasing gives segments back', async () => {
    const contents = Array.from({ length: 700 }, (_, i) => Buffer.from(`segment ${i % 400}`));
    for await (const { pin } of new Segments(backend).putMany(contents, {
      pin: 'p',
      owner: 'desk',
    })) {
      expect(pin).toBe('p');
    }
    const { address } = await new Segments(backend).putTokens([1, 2, 3], { pin: 'tokens' });
    await reopen();
    const segments = new Segments(backend);
    const stat = await segments.stat('p');
    expect(stat).toMatchObject({ owner: 'desk', segments: 400 });
    expect((await segments.put(Buffer.from('segment 7'), { pin: 'p' })).created).toBe(false);
    expect((await segments.stat('p'))?.segments).toBe(400);
    for await (const { bytes } of segments.getMany(stat?.addresses ?? []))
      expect(bytes).toBeDefined();
    expect(await segments.release('p')).toBe(true);
    await backend.collect({ graceMs: 0 });
    expect(await segments.getTokens(address)).toEqual(Uint32Array.of(1, 2, 3));
    expect((await backend.usage()).segments).toBe(1);
    expect((await auditOf(backend)).findings).toEqual([]);
  });
});
