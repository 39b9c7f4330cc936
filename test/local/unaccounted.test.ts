import { cpSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { PackAppender } from '../../src/backends/local/files/pack-files.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { salvageStore } from '../../src/recovery.ts';
import { commit, entry, idsOf, put } from '../conformance/builders.ts';
import { cutOffCommit } from './salvage-history.ts';
import { auditAfresh, openStore, packFiles, rejection, scratchFolder } from './support.ts';

/**
 * A copy of a store that is open, without its write-ahead log: what was committed last is only in
 * packs.
 */
async function copyWithoutLog(commits: number, packBytes = 64 * 1024 * 1024): Promise<string> {
  const path = scratchFolder();
  const first = await LocalBackend.open(path, { packBytes });
  await commit(first, put('before', [entry('before')]));
  await first.close();
  const backend = await openStore(path, { packBytes });
  for (let number = 0; number < commits; number++) {
    await commit(backend, put(`c${number}`, [entry(`body ${number}`, `segment ${number}`)]));
  }
  const copy = scratchFolder();
  for (const name of readdirSync(path)) {
    if (name !== 'locks' && !/-(wal|shm)$/.test(name))
      cpSync(join(path, name), join(copy, name), { recursive: true });
  }
  return copy;
}

describe('a copy without the write-ahead log', () => {
  test('is reported by an audit, is not written to, and is salvaged', async () => {
    const path = await copyWithoutLog(50);
    const reader = await LocalBackend.open(path, { readOnly: true });
    expect(await idsOf(reader.list('conversation'))).toEqual(['before']);
    await reader.close();
    const [finding, ...others] = await auditAfresh(path);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      kind: 'missing-data',
      message: expect.stringMatching(
        /varve\.db-wal is missing.*varve salvage; it has conversation "c0".* and 47 more$/,
      ),
      harmful: true,
      repaired: false,
    });
    expect(finding?.manifests).toHaveLength(50);
    expect(await auditAfresh(path, { repair: true })).toEqual([finding]);
    const backend = await openStore(path);
    const error = await rejection(commit(backend, put('after', [entry('after')])), 'CORRUPT');
    expect(error.message).toContain('varve salvage');
    const to = join(scratchFolder(), 'new');
    expect(await salvageStore(path, to)).toMatchObject({ isCertain: true, manifests: 51 });
  });

  test('keeps packs that were begun after it', async () => {
    const path = await copyWithoutLog(50, 3000);
    const packs = packFiles(path);
    expect(packs.length).toBeGreaterThan(3);
    const findings = await auditAfresh(path, { repair: true });
    expect(findings.length).toBeGreaterThan(2);
    expect(findings.every(({ harmful, repaired }) => harmful && !repaired)).toBe(true);
    const backend = await openStore(path);
    await backend.collect({ erase: true }).catch(() => undefined);
    for (const pack of packs) expect(existsSync(pack), pack).toBe(true);
    const to = join(scratchFolder(), 'new');
    expect(await salvageStore(path, to)).toMatchObject({ isCertain: true, manifests: 51 });
  });

  test('that lacks one commit cannot be distinguished from a commit that was cut off', async () => {
    const path = await copyWithoutLog(1);
    expect(await auditAfresh(path)).toMatchObject([
      {
        kind: 'stale-writer',
        message: expect.stringMatching(/does not know.*; it has conversation "c0"$/),
        harmful: false,
      },
    ]);
    const to = join(scratchFolder(), 'new');
    expect(await salvageStore(path, to)).toMatchObject({ isCertain: true, manifests: 2 });
  });
});

describe('a commit that was cut off', () => {
  async function cutOff(): Promise<string> {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path);
    await commit(backend, put('before', [entry('before')]));
    await backend.close();
    await cutOffCommit(path, () => LocalBackend.open(path), [put('cut off', [entry('cut off')])]);
    return path;
  }

  test('is reported, does no harm, and is gone after a repair', async () => {
    const path = await cutOff();
    const [finding, ...others] = await auditAfresh(path);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ kind: 'stale-writer', harmful: false, repaired: false });
    expect(await auditAfresh(path, { repair: true })).toEqual([{ ...finding, repaired: true }]);
    expect(await auditAfresh(path)).toEqual([]);
  });

  test('is not taken for one that happened, once there is another', async () => {
    const path = await cutOff();
    const backend = await LocalBackend.open(path);
    await commit(backend, put('after', [entry('after')]));
    await backend.close();
    expect(await auditAfresh(path)).toEqual([]);
    const to = join(scratchFolder(), 'new');
    expect(await salvageStore(path, to)).toMatchObject({ isCertain: true });
    const salvaged = await openStore(to, { readOnly: true });
    expect(await idsOf(salvaged.list('conversation'))).toEqual(['before', 'after']);
  });
});

test('what a commit that failed has written is cut off again', async () => {
  const path = scratchFolder();
  const backend = await openStore(path);
  await commit(backend, put('a', [entry('1')]));
  const before = packFiles(path).map((file) => `${file} ${statSync(file).size}`);
  const failing = vi.spyOn(PackAppender.prototype, 'assertInPlace').mockImplementationOnce(() => {
    throw new Error('what fails a transaction');
  });
  await rejection(commit(backend, put('b', [entry('2', 'segment')])), 'INTERNAL');
  failing.mockRestore();
  expect(packFiles(path).map((file) => `${file} ${statSync(file).size}`)).toEqual(before);
});
