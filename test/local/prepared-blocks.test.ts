import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { NewSegment, PutWrite } from '../../src/backends/contract/manifests.ts';
import type { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { commit, contentOf, entry, put, segment } from '../conformance/builders.ts';
import { expectSoundNow, openStore, packFiles, scratchFolder } from './support.ts';

/** Segments that together are worth preparing; `salt` makes them others. */
function segments(salt: string, count = 80) {
  return Array.from({ length: count }, (_, n) =>
    segment(`${salt} ${n} `.repeat(3000).slice(0, 20_000)),
  );
}

function putOf(id: string, salt: string, ifExists: 'error' | 'replace' = 'error') {
  const all = segments(salt);
  const bytes = all.length * 20_000;
  return put(id, [entry('body', ...all)], { ifExists, fields: { logicalBytes: bytes } });
}

async function holds(backend: LocalBackend, id: string, salt: string): Promise<boolean> {
  const [stored] = (await contentOf(backend, id)) ?? [];
  const expected = segments(salt).map((each) => Buffer.from(bytesOf(each)).toString('latin1'));
  return JSON.stringify(stored?.segments) === JSON.stringify(expected);
}

function bytesOf({ bytes }: NewSegment): Uint8Array {
  return bytes?.() as Uint8Array;
}

describe('blocks that are compressed before the transaction', () => {
  test('are those that the transaction makes of what nobody foresaw', async () => {
    const blocks = async (write: PutWrite) => {
      const path = scratchFolder();
      await commit(await openStore(path), write);
      const pack = readFileSync(packFiles(path)[0] as string);
      const bodies = pack.indexOf(Buffer.from('VBLK\x01\x01'));
      return pack.subarray(0, bodies);
    };
    const write = putOf('a', 'first');
    const prepared = await blocks(write);
    // A write that claims to be small is not prepared.
    const unprepared = await blocks({ ...write, fields: { logicalBytes: 1 } });
    expect(prepared.length).toBeGreaterThan(1000);
    expect(prepared.equals(unprepared)).toBe(true);
  });

  test('do no harm when a write of the group fails, and ids are others', async () => {
    const backend = await openStore(scratchFolder());
    await commit(backend, putOf('a', 'first'));
    const outcomes = await backend.commit([putOf('a', 'second'), putOf('b', 'third')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'created']);
    expect(await holds(backend, 'b', 'third')).toBe(true);
    await expectSoundNow(backend);
  });

  test('do no harm when another process stores something in between', async () => {
    const path = scratchFolder();
    const [one, other] = [await openStore(path), await openStore(path)];
    const salts = ['a', 'b', 'c'];
    await Promise.all([
      ...salts.map((salt) => one.commit([putOf(`one-${salt}`, `one ${salt}`)])),
      ...salts.map((salt) => other.commit([putOf(`other-${salt}`, `other ${salt}`)])),
    ]);
    for (const salt of salts) {
      expect(await holds(one, `other-${salt}`, `other ${salt}`)).toBe(true);
      expect(await holds(other, `one-${salt}`, `one ${salt}`)).toBe(true);
    }
    await expectSoundNow(one);
  });

  test('of bytes that do not hash to their address are refused, with their write alone', async () => {
    const backend = await openStore(scratchFolder());
    const wrong = putOf('wrong', 'first');
    const [, ...others] = wrong.entries[0]?.segments ?? [];
    const entries = [
      {
        body: Buffer.from('body'),
        segments: others.map((each) => ({ ...each, bytes: () => Buffer.from('else') })),
      },
    ];
    const outcomes = await backend.commit([{ ...wrong, entries }, putOf('right', 'first')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'created']);
    await expectSoundNow(backend);
  });
});
