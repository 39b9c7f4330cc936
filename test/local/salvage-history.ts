import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { vi } from 'vitest';
import {
  MANIFEST_KINDS,
  type ManifestKey,
  type ManifestWrite,
  type NewEntry,
} from '../../src/backends/contract/manifests.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { PackAppender } from '../../src/backends/local/files/pack-files.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { LocalOptions } from '../../src/backends/local/local-options.ts';
import { append, conversation, entry, hold, put, remove } from '../conformance/builders.ts';
import type { Random } from './process/random.ts';

/** Random lives of a store, and everything that can be read from it. */

const SMALL: LocalOptions = { packBytes: 4000, segmentBlockBytes: 700, bodyBlockBytes: 900 };

/** All that a store says, by kind and id, in the order of archiving. */
export type StoreState = ReadonlyMap<string, unknown>;

async function stateOf(backend: LocalBackend): Promise<StoreState> {
  const state = new Map<string, unknown>();
  for (const kind of MANIFEST_KINDS) {
    for await (const head of backend.list(kind)) {
      const [stored] = await backend.read([head.key]);
      const entries = [];
      for (const { body, segments } of stored?.entries ?? []) {
        const texts = (await backend.fetch(segments)).map((bytes) =>
          Buffer.from(bytes).toString('latin1'),
        );
        const kinds = (await backend.describe(segments)).map(({ encoding }) => encoding);
        entries.push({ body: Buffer.from(body).toString('latin1'), texts, kinds });
      }
      state.set(`${kind} ${head.key.id}`, { head, entries });
    }
  }
  return state;
}

export async function stateAt(path: string): Promise<StoreState> {
  const backend = await LocalBackend.open(path, { readOnly: true });
  try {
    return await stateOf(backend);
  } finally {
    await backend.close();
  }
}

/** Plays a random history in a folder; returns the state that was acknowledged last. */
export async function playHistory(
  path: string,
  random: Random,
  steps: number,
): Promise<StoreState> {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const open = () => LocalBackend.open(path, SMALL, { clock: () => clock.now });
  const handles = [await open(), await open()];
  for (let step = 0; step < steps; step++) {
    clock.now += 1 + random.below(1000);
    const at = random.below(2);
    const backend = handles[at] as LocalBackend;
    const kind = random.below(20);
    if (kind < 12) await backend.commit(randomWrites(random, step));
    else if (kind < 13) await publish(backend, random, step);
    else if (kind < 15) await backend.collect({ graceMs: random.below(2) * 2000 });
    else if (kind < 16) await backend.collect({ graceMs: 0, full: true });
    else if (kind < 17) await backend.collect({ erase: true });
    else if (kind < 18) {
      await backend.close();
      handles[at] = await open();
    } else {
      for (const each of handles) await each.close();
      await cutOffCommit(path, open, randomWrites(random, step));
      handles.splice(0, 2, await open(), await open());
    }
  }
  // A commit that was cut off may have happened or not until the next one says.
  await handles[0]?.commit([
    put(conversation('last'), [entry('the end')], { ifExists: 'replace' }),
  ]);
  const state = await stateOf(handles[0] as LocalBackend);
  for (const each of handles) await each.close();
  return state;
}

/** A process that is killed between the flush of its pack and the commit of the index. */
export async function cutOffCommit(
  path: string,
  open: () => Promise<LocalBackend>,
  writes: readonly ManifestWrite[],
): Promise<void> {
  const backend = await open();
  const before = vi.spyOn(PackAppender.prototype, 'assertInPlace').mockImplementation(() => {
    throw new Error('killed');
  });
  const after = vi.spyOn(PackAppender.prototype, 'rollback').mockImplementation(() => {});
  try {
    await backend.commit(writes).catch(() => undefined);
    await backend.close();
  } finally {
    before.mockRestore();
    after.mockRestore();
  }
  // It had no time to give its pack back.
  const index = openSqlite(join(path, 'varve.db'));
  index.exec(`UPDATE pack SET owner = '${randomUUID()}' WHERE sealed = 0 AND owner IS NULL`);
  index.close();
}

async function publish(backend: LocalBackend, random: Random, step: number): Promise<void> {
  const key: ManifestKey = { kind: 'blob', id: `b${random.below(3)}` };
  async function* entries(): AsyncGenerator<NewEntry> {
    for (let part = 0; part < 3; part++) yield randomEntry(random, `${step}.${part}`);
  }
  await backend.publish({ operation: 'put', key, ifExists: 'replace' }, entries(), () => ({
    logicalBytes: step,
  }));
}

function randomEntry(random: Random, name: string): NewEntry {
  const texts = Array.from({ length: random.below(3) }, () => `shared ${random.below(8)}`);
  return entry(
    `body ${name} ${random.text(random.below(20))}`,
    ...texts,
    `own ${name} ${random.text(random.below(30))}`,
  );
}

function randomWrites(random: Random, step: number): ManifestWrite[] {
  return Array.from({ length: 1 + random.below(4) }, (_, at): ManifestWrite => {
    const key: ManifestKey =
      random.below(5) === 0
        ? { kind: 'pin', id: `p${random.below(4)}` }
        : conversation(`c${random.below(12)}`);
    const entries = Array.from({ length: random.below(4) }, (_, part) =>
      randomEntry(random, `${step}.${at}.${part}`),
    );
    const kind = random.below(12);
    if (kind < 3) return remove(key);
    if (kind < 4)
      return hold(key, random.below(3) > 0, random.below(2) === 0 ? `reason ${step}` : undefined);
    if (kind < 7) {
      const more = [...entries, randomEntry(random, `${step}.${at}.last`)];
      return append(key, more, {
        logicalBytes: random.below(1000),
        ...(random.below(2) === 0 && { idempotencyKey: `key ${random.below(4)}` }),
        ...(random.below(2) === 0 && { fields: { model: `model ${random.below(3)}` } }),
      });
    }
    return put(key, entries, {
      ifExists: 'replace',
      fields: {
        logicalBytes: random.below(100_000),
        ...(random.below(2) === 0 && {
          application: `app ${random.below(3)}`,
          createdAt: random.below(1e9),
        }),
        ...(random.below(4) === 0 && { expiresAt: Date.UTC(2026, 0, 1) + random.below(1e6) }),
      },
    });
  });
}
