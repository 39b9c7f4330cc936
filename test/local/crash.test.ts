import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { times } from '../thorough.ts';
import { PUBLISHED_ENTRIES } from './process/agent.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { Random } from './process/random.ts';
import { keyOf, namesOf, readNames } from './process/workload.ts';
import { expectSound, scratchFolder } from './support.ts';

/** `VARVE_SOAK=20` makes every test here twenty times as long, `VARVE_SEED` gives other moments. */
const SOAK = Number(process.env['VARVE_SOAK'] ?? 1);
const SEED = Number(process.env['VARVE_SEED'] ?? 1);

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

/**
 * Whether each of the first `acknowledged` conversations is there, and everything else is there
 * whole or not at all.
 */
async function expectStored(
  path: string,
  acknowledged: number,
  total: number,
  entries: (number: number) => number,
) {
  const backend = await LocalBackend.open(path);
  try {
    let stored = 0;
    for (let number = 0; number < total; number++) {
      const names = await readNames(backend, keyOf(number));
      if (names === undefined) {
        expect(number, 'this one was acknowledged and is gone').toBeGreaterThanOrEqual(
          acknowledged,
        );
        continue;
      }
      stored++;
      expect(names).toEqual(
        Array.from({ length: entries(number) }, (_, entry) => namesOf(number, entry)),
      );
    }
    return stored;
  } finally {
    await backend.close();
  }
}

describe('kill -9', { timeout: 180_000 * SOAK }, () => {
  test('at any moment of commits loses nothing that was acknowledged, and the same work again completes', async () => {
    const path = scratchFolder();
    const random = new Random(SEED);
    const total = times(300, 1200);
    let acknowledged = 0;
    for (let round = 0; round < times(2, 5) * SOAK; round++) {
      // Small packs and blocks: files are begun and sealed all the time. Each process starts over
      // at the beginning.
      const child = new Child(compiled.agent, {
        path,
        task: 'commit',
        to: total,
        packBytes: 30_000,
        blockBytes: 8_000,
      });
      await child.says('open');
      await sleep(random.below(60));
      await child.kill();
      acknowledged = Math.max(acknowledged, child.last('ack', 0));
      await expectStored(path, acknowledged, total, (number) => 1 + (number % 3));
      await expectSound(path);
    }
    await new Child(compiled.agent, {
      path,
      task: 'commit',
      to: total,
      packBytes: 30_000,
      blockBytes: 8_000,
    }).succeeds();
    expect(await expectStored(path, total, total, (number) => 1 + (number % 3))).toBe(total);
    await expectSound(path);
    const untouched = scratchFolder();
    await new Child(compiled.agent, { path: untouched, task: 'commit', to: total }).succeeds();
    expect(await contents(path)).toEqual(await contents(untouched));
  });

  test('while a stream is published leaves the stream before it and nothing of the one cut off', async () => {
    const path = scratchFolder();
    const random = new Random(SEED + 1);
    let acknowledged = 0;
    for (let round = 0; round < times(2, 4) * SOAK; round++) {
      const child = new Child(compiled.agent, { path, task: 'publish', to: 20 });
      await child.says(`entry ${Math.min(19, acknowledged)} ${random.below(PUBLISHED_ENTRIES)}`);
      await sleep(random.below(60));
      await child.kill();
      acknowledged = Math.max(acknowledged, child.last('ack', 0));
      await expectStored(path, acknowledged, 20, () => PUBLISHED_ENTRIES);
      await expectSound(path);
    }
    const backend = await LocalBackend.open(path);
    await backend.collect({ graceMs: 0, full: true });
    const before = await backend.usage();
    expect(before.garbageSegments).toBe(0);
    await backend.close();
    const whole = await LocalBackend.open(scratchFolder());
    await whole.close();
    await expectStored(path, acknowledged, 20, () => PUBLISHED_ENTRIES);
    await expectSound(path);
  });

  test('while packs are rewritten changes nothing that can be read', async () => {
    const path = scratchFolder();
    const random = new Random(SEED + 2);
    const total = times(240, 600);
    await new Child(compiled.agent, {
      path,
      task: 'commit',
      to: total,
      batch: 2,
      packBytes: 60_000,
    }).succeeds();
    const backend = await LocalBackend.open(path);
    const removed = Array.from({ length: total }, (_, number) => number).filter(
      (number) => number % 3 === 1,
    );
    await backend.commit(removed.map((number) => ({ operation: 'delete', key: keyOf(number) })));
    const wanted = await contents(path);
    await backend.close();
    for (let round = 0; round < times(2, 5) * SOAK; round++) {
      const child = new Child(compiled.agent, {
        path,
        task: 'collect',
        seed: 1,
        forMs: 10_000,
        packBytes: 60_000,
        blockBytes: 4_000,
      });
      await child.says('collecting');
      await sleep(random.below(90));
      await child.kill();
      await expectSound(path);
      expect(await contents(path)).toEqual(wanted);
    }
    const again = await LocalBackend.open(path);
    await again.collect({ graceMs: 0, full: true });
    expect((await again.usage()).garbageSegments).toBe(0);
    await again.close();
    expect(await contents(path)).toEqual(wanted);
    await expectSound(path);
  });

  test('of some of several writers and collectors leaves a sound store to the others', async () => {
    const path = scratchFolder();
    const random = new Random(SEED + 3);
    for (let round = 0; round < 2 * SOAK; round++) {
      const small = { path, packBytes: 20_000, blockBytes: 4_000 };
      const forMs = 1500;
      const survivors = [
        new Child(compiled.agent, { ...small, task: 'churn', seed: random.below(1e6), forMs }),
        new Child(compiled.agent, { ...small, task: 'collect', seed: round, forMs }),
      ];
      const victims = [
        new Child(compiled.agent, {
          ...small,
          task: 'churn',
          seed: random.below(1e6),
          forMs: 20_000,
        }),
        new Child(compiled.agent, { ...small, task: 'collect', seed: round + 1, forMs: 20_000 }),
      ];
      for (const victim of victims) {
        await victim.says('open');
        await sleep(random.below(400));
        await victim.kill();
      }
      for (const survivor of survivors) await survivor.succeeds();
      await expectSound(path);
    }
  });
});

/** What a store holds, without what may differ between two ways to the same content. */
async function contents(path: string) {
  const backend = await LocalBackend.open(path, { readOnly: true });
  try {
    const all: unknown[] = [];
    for await (const { key, application, model, createdAt, logicalBytes } of backend.list(
      'conversation',
    )) {
      all.push({
        key,
        application,
        model,
        createdAt,
        logicalBytes,
        names: await readNames(backend, key),
      });
    }
    return all;
  } finally {
    await backend.close();
  }
}
