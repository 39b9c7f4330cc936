/**
 * Lets writers, deleters, collectors and auditors loose on one store, each in a process of its own,
 * kills some of them at random moments, and verifies at the end that everything acknowledged reads
 * back and an audit finds nothing.
 *
 *     npm run build && node scripts/soak.mjs [--minutes 10] [--store LOCATION] [--seed 1]
 *
 * LOCATION is that of a new store: a directory, or `s3://…`. Default: a temporary directory.
 *
 * Prints a line of JSON with what was done; ends with 1 when anything was lost or found. Each
 * writer alone writes to its ids, and its acknowledgements say what they must hold.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const LIBRARY = process.env['VARVE_DIST'] ?? fileURLToPath(new URL('../dist', import.meta.url));

/** Ids of each writer; few, so that they are replaced and deleted all the time. */
const IDS = 40;

/** How long a killed writer's lease may still run, with a margin. */
const LEASE_MS = 40_000;

const ROLES = ['writer', 'writer', 'writer', 'collector', 'collector', 'eraser', 'auditor'];

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    store: { type: 'string' },
    seed: { type: 'string', default: '1' },
    role: { type: 'string' },
    name: { type: 'string', default: '' },
  },
});

/** Random numbers from a seed: mulberry32. @param {number} seed */
function randomOf(seed) {
  let state = seed >>> 0;
  return (/** @type {number} */ below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** @returns {Promise<typeof import('../src/index.ts')>} */
function library() {
  return import(join(LIBRARY, 'index.js'));
}

/** At once, without a buffer that a kill could lose. @param {unknown} value */
function tell(value) {
  writeSync(1, `${JSON.stringify(value)}\n`);
}

/**
 * What a conversation of that id and version holds: some of it shared by all writers. @param
 * {string} id @param {number} version
 */
function messagesOf(id, version) {
  const random = randomOf(version * 7919 + id.length);
  return Array.from({ length: 1 + random(4) }, (_, number) => ({
    role: number % 2 === 0 ? 'user' : 'assistant',
    content:
      `${number === 0 ? `${id} ${version}` : `shared ${random(60)}`} ` +
      `${'words '.repeat(100 + random(200))}`,
  }));
}

/**
 * @param {import('../src/store.ts').Store} store @param {string} name @param {(below: number) =>
 * number} random
 */
async function write(store, name, random) {
  for (let version = Date.now(); ; version++) {
    const id = `${name}-${random(IDS)}`;
    if (random(4) === 0) {
      tell({ begin: id });
      await store.conversations.delete(id);
      tell({ id, version: 0 });
    } else {
      tell({ begin: id });
      await store.conversations.put(
        { id, messages: messagesOf(id, version) },
        { ifExists: 'replace' },
      );
      tell({ id, version });
    }
  }
}

/**
 * @param {import('../src/store.ts').Store} store @param {string} role @param {(below: number) =>
 * number} random
 */
async function maintain(store, role, random) {
  for (;;) {
    if (role === 'collector')
      await store.gc.run({ grace: random(2) === 0 ? 0 : '1s', full: random(5) === 0 });
    else if (role === 'eraser') await store.gc.erase({ deadline: '20s' });
    else
      for await (const finding of store.audit())
        if (finding.kind !== 'stale-writer') tell({ finding });
    tell({ done: role });
    await sleep(random(role === 'eraser' ? 4000 : 300));
  }
}

/** @param {string} role */
async function act(role) {
  const { openStore } = await library();
  const local = { packBytes: 1_000_000, segmentBlockBytes: 20_000, bodyBlockBytes: 20_000 };
  const store = await openStore(values.store ?? '', isBucket(values.store ?? '') ? {} : { local });
  const random = randomOf(Number(values.seed));
  await (role === 'writer' ? write(store, values.name, random) : maintain(store, role, random));
}

/** @param {string} location */
function isBucket(location) {
  return /^[a-z0-9]+:\/\//.test(location);
}

/** Starts a process of a role, and another when it was killed, until the time is up. */
class Actor {
  /**
   * What each id must hold: a version, 0 for nothing; several when a kill left it open. @type
   * {Map<string, Set<number>>}
   */
  expected = new Map();
  done = 0;
  kills = 0;
  /** @type {unknown[]} */
  failures = [];

  /** @param {string} role @param {number} number @param {string} store */
  constructor(role, number, store) {
    this.role = role;
    this.name = `${role}${number}`;
    this.store = store;
  }

  /** @param {number} end @param {(below: number) => number} random */
  async run(end, random) {
    while (performance.now() < end) {
      const child = spawn(process.execPath, [
        fileURLToPath(import.meta.url),
        ...[
          '--role',
          this.role,
          '--name',
          this.name,
          '--store',
          this.store,
          '--seed',
          String(random(1e9)),
        ],
      ]);
      let output = '';
      let errors = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
        const lines = output.split('\n');
        output = lines.pop() ?? '';
        for (const line of lines) this.#note(JSON.parse(line));
      });
      child.stderr.on('data', (chunk) => {
        errors += chunk;
      });
      const closed = once(child, 'close');
      const lives = (1500 + random(6000)) * (isBucket(this.store) ? 4 : 1);
      await Promise.race([closed, sleep(Math.min(end - performance.now(), lives))]);
      if (child.exitCode !== null) this.failures.push(`${this.name} ended: ${errors}`);
      child.kill('SIGKILL');
      await closed;
      this.kills++;
      if (this.failures.length > 5) return;
    }
  }

  /**
   * @param {{ begin?: string, id?: string, version?: number, finding?: unknown, done?: string }}
   * event
   */
  #note({ begin, id, version = 0, finding, done }) {
    if (finding !== undefined) this.failures.push(finding);
    if (done !== undefined) this.done++;
    // What was begun and not acknowledged may have happened or not: then anything goes for that id.
    if (begin !== undefined)
      this.expected.set(begin, new Set([-1, ...(this.expected.get(begin) ?? [])]));
    if (id !== undefined) {
      this.expected.set(id, new Set([version]));
      this.done++;
    }
  }
}

/** Whether a conversation has the version that its writer knows of, and is whole. */
async function verify(
  /** @type {import('../src/store.ts').Store} */ store,
  /** @type {string} */ id,
  /** @type {Set<number>} */ versions,
) {
  const found = /** @type {{ messages: { content: string }[] } | undefined} */ (
    await store.conversations.get(id)
  );
  const version = found === undefined ? 0 : Number(found.messages[0]?.content.split(' ')[1]);
  if (
    found !== undefined &&
    JSON.stringify(found.messages) !== JSON.stringify(messagesOf(id, version))
  ) {
    return `${id} is not whole`;
  }
  if (versions.has(version) || versions.has(-1)) return undefined;
  return `${id} is at version ${version}, acknowledged was ${[...versions].join(' or ')}`;
}

async function direct() {
  const minutes = Number(values.minutes);
  const folder =
    values.store === undefined ? await mkdtemp(join(tmpdir(), 'varve-soak-')) : undefined;
  const location = values.store ?? join(folder ?? '', 'store');
  const { openStore } = await library();
  await (await openStore(location)).close();
  const random = randomOf(Number(values.seed));
  const actors = ROLES.map((role, number) => new Actor(role, number, location));
  const end = performance.now() + minutes * 60_000;
  await Promise.all(actors.map((actor, number) => actor.run(end, randomOf(random(1e9) + number))));
  const store = await openStore(location);
  const failures = actors.flatMap((actor) => actor.failures);
  let checked = 0;
  for (const { expected } of actors) {
    for (const [id, versions] of expected) {
      checked++;
      const failure = await verify(store, id, versions);
      if (failure !== undefined) failures.push(failure);
    }
  }
  // On a bucket, whoever was killed is taken for dead only when its lease has run out.
  if (isBucket(location)) await sleep(LEASE_MS);
  await store.gc.run({ grace: 0, full: true });
  for await (const finding of store.audit({ deep: true })) failures.push(finding);
  const { garbageSegments, storedBytes } = await store.usage();
  await store.close();
  const byRole = Object.fromEntries([...new Set(ROLES)].map((role) => [role, 0]));
  for (const { role, done } of actors) byRole[role] = (byRole[role] ?? 0) + done;
  const kills = actors.reduce((sum, actor) => sum + actor.kills, 0);
  tell({
    minutes,
    seed: Number(values.seed),
    done: byRole,
    kills,
    checked,
    garbageSegments,
    storedBytes,
    failures,
  });
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  if (failures.length > 0 || garbageSegments > 0) process.exitCode = 1;
}

if (values.role === undefined) await direct();
else await act(values.role);
