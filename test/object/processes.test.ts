import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { auditOf } from '../conformance/builders.ts';
import { Child } from '../local/process/child.ts';
import { compileAgent } from '../local/process/compiled.ts';
import { Random } from '../local/process/random.ts';
import { readNames } from '../local/process/workload.ts';
import { IS_THOROUGH, leftOut } from '../thorough.ts';
import { idOf, LEASE_MS, type ObjectJob, OWN_CONVERSATIONS } from './process/agent.ts';
import { openShared } from './process/open-shared.ts';
import { type SharedServer, sharedServer } from './process/shared-server.ts';

/** The number of processes that write at once; CI sets 16. */
const WRITERS = Number(process.env['VARVE_WRITERS'] ?? 4);

/** How long they write, in ms; a soak sets more. */
const WRITING_MS = Number(process.env['VARVE_WRITING_MS'] ?? 4000);

type State = string[][] | null;

const compiled = { agent: '' };
let server: SharedServer | undefined;
beforeAll(async () => {
  if (!IS_THOROUGH) return;
  compiled.agent = await compileAgent('test/object/process');
  server = await sharedServer();
}, 120_000);
afterAll(async () => {
  await server?.stop();
});

describe.skipIf(leftOut('processes that are killed on one bucket'))(
  'processes on one bucket',
  { timeout: 120_000 + 3 * WRITING_MS },
  () => {
    test(`${WRITERS} writers, some of them killed, beside collectors and an auditor, lose nothing`, async () => {
      const location = (server as SharedServer).location('killed');
      const start = (task: ObjectJob['task'], seed: number, forMs = WRITING_MS) =>
        new Child(compiled.agent, { location, task, seed, forMs } satisfies ObjectJob);
      await (await openShared(location)).close();
      const others = [start('collect', 1), start('collect', 2), start('audit', 1)];
      const writers = Array.from({ length: WRITERS }, (_, seed) => start('write', seed));
      const killed = await killSome(writers);
      for (const child of [...writers.filter((child) => !killed.has(child)), ...others])
        await child.succeeds();
      expect(killed.size).toBeGreaterThan(0);
      expect(others[0]?.last('runs', 0)).toBeGreaterThan(0);
      expect(others[2]?.last('audits', 0)).toBeGreaterThan(0);

      const backend = await openShared(location, { leaseMs: LEASE_MS });
      let acknowledged = 0;
      for (const [seed, child] of writers.entries())
        acknowledged += await expectAcknowledged(backend, seed, child);
      expect(acknowledged).toBeGreaterThan(WRITERS);
      // The server's clock has whole seconds, and an attempt is given a margin.
      await sleep(LEASE_MS + 3500);
      for await (const finding of backend.audit({ repair: true }))
        expect(finding).toMatchObject({ repaired: true });
      await backend.collect({ graceMs: 0, full: true });
      expect((await auditOf(backend)).findings).toEqual([]);
      for (const [seed, child] of writers.entries()) await expectAcknowledged(backend, seed, child);
      expect(await referencedSegments(backend)).toBe((await backend.usage()).segments);
      await backend.close();
    });
  },
);

/** Kills every other writer during the first half of its work. */
async function killSome(writers: readonly Child[]): Promise<Set<Child>> {
  const random = new Random(7);
  const victims = writers.filter((_, at) => at % 2 === 0);
  await Promise.all(
    victims.map(async (child) => {
      await child.says('ack');
      await sleep(random.below(WRITING_MS / 2));
      await child.kill();
    }),
  );
  return new Set(victims);
}

/**
 * Checks that every conversation is what was acknowledged last, or what its writer was writing when
 * it was killed.
 */
async function expectAcknowledged(backend: Backend, seed: number, child: Child): Promise<number> {
  const possible = new Map<number, State[]>();
  let acknowledged = 0;
  for (const line of child.lines) {
    const [word, json = ''] = [line.slice(0, 3), line.slice(4)];
    if (word !== 'try' && word !== 'ack') continue;
    const [number, state] = JSON.parse(json) as [number, State];
    possible.set(number, word === 'ack' ? [state] : [...(possible.get(number) ?? [null]), state]);
    if (word === 'ack') acknowledged++;
  }
  for (let number = 0; number < OWN_CONVERSATIONS; number++) {
    const stored = await readNames(backend, { kind: 'conversation', id: idOf(seed, number) });
    expect(possible.get(number) ?? [null]).toContainEqual(stored ?? null);
  }
  return acknowledged;
}

async function referencedSegments(backend: Backend): Promise<number> {
  const addresses = new Set<string>();
  for await (const { key } of backend.list('conversation')) {
    const [manifest] = await backend.read([key]);
    const locators = manifest?.entries.flatMap(({ segments }) => segments) ?? [];
    for (const address of await backend.addresses(locators)) addresses.add(address);
  }
  return addresses.size;
}
