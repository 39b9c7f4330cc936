import type { ManifestKey } from '../../src/backends/backend.ts';
import { MemoryObjectStore } from '../../src/backends/object/memory-store.ts';
import type { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import type { ObjectStore } from '../../src/backends/object/object-store.ts';
import type { Sidecar } from '../../src/backends/object/sidecar.ts';
import { Actor } from './actor.ts';
import { SEGMENTS } from './operations.ts';
import type { Patch, ProtocolBuild } from './protocol-build.ts';
import { SeededRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { NO_FAULTS, UnreliableNetwork } from './unreliable-network.ts';
import { promise } from './violation.ts';
import { World } from './world.ts';

/** A rule that no order of requests breaks, only a certain misfortune; and the mutant that lacks it. */
export interface Stage {
  readonly rule: number;
  readonly promise: string;
  /** Throws when the promise is broken. */
  readonly play: (build: ProtocolBuild) => Promise<void>;
  readonly mutant: Patch;
}

const A: ManifestKey = { kind: 'conversation', id: 'a' };
const B: ManifestKey = { kind: 'conversation', id: 'b' };
const SLEEP_MS = 20_000;
const HOUR_MS = 60 * 60 * 1000;

async function put(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [outcome] = await backend.commit([
    {
      operation: 'put',
      key,
      ifExists: 'error',
      fields: { logicalBytes: 1 },
      entries: [{ body: Buffer.from(key.id), segments: SEGMENTS }],
    },
  ]);
  promise(outcome?.status === 'created', () => `putting ${key.id} ended as ${outcome?.status}`);
}

async function assertReadable(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [stored] = await backend.read([key]);
  const segments = await backend.fetch(stored?.entries[0]?.segments ?? []);
  const isWhole = segments.length === SEGMENTS.length && segments.every((bytes, at) => isSame(bytes, at));
  promise(isWhole, () => `${key.id} is not what was put`);
}

function isSame(bytes: Uint8Array, at: number): boolean {
  const expected = SEGMENTS[at]?.bytes?.();
  return expected !== undefined && Buffer.compare(bytes, expected) === 0;
}

async function keysOf(store: ObjectStore, is: (key: string) => boolean): Promise<string[]> {
  return (await store.list('')).objects.map(({ key }) => key).filter(is);
}

/**
 * A segment that was hot, a writer of which it knows nothing, and coolers that die one after the other at the given requests. Returns
 * the sidecar as a collector leaves it, after the writer has committed.
 */
async function coolersThatDie(build: ProtocolBuild, crashes: readonly number[]): Promise<Sidecar | undefined> {
  const scheduler = new Scheduler();
  const network = new UnreliableNetwork(
    scheduler,
    new SeededRandom(1),
    NO_FAULTS,
    () => {},
    (code, message) => new build.VarveError(code, message),
  );
  const world = new World(build, scheduler, { seed: 1, isKind: false, wholeSeconds: false, backend: {} });
  const perform = async (name: string, work: (actor: Actor) => Promise<unknown>, crash?: number): Promise<void> => {
    const { process, backend } = world.start(name, network);
    if (crash !== undefined) network.strike(process, [{ kind: 'crash', at: crash }]);
    let isDone = false;
    let failure: unknown;
    work(new Actor(world, backend, name)).then(
      () => {
        isDone = true;
      },
      (error: unknown) => {
        failure = error;
        isDone = true;
      },
    );
    await scheduler.run(() => isDone || process.isCrashed);
    if (failure !== undefined) throw failure;
  };
  const segments = SEGMENTS.slice(0, 1);
  await perform('writer', async (actor) => {
    const keys = ['h1', 'h2', 'h3', 'h4', 'h5'].map((id): ManifestKey => ({ kind: 'pin', id }));
    for (const key of keys) await actor.commit([world.register.put(key, 'replace', [segments])]);
    // Sees the heat and sleeps: what it is about to commit is named nowhere but in its pending.
    const sleeper = world.start('sleeper', network);
    network.strike(sleeper.process, [{ kind: 'pause', at: 4, ms: SLEEP_MS }]);
    void new Actor(world, sleeper.backend, 'sleeper').commit([world.register.put(A, 'replace', [segments])]);
    for (const key of keys) await actor.commit([world.register.delete(key)]);
  });
  for (const [at, crash] of crashes.entries()) await perform(`cooler${at}`, (actor) => actor.audit(true), crash);
  await perform('collector', (actor) => actor.collect(true));
  const [sidecar] = [...world.watch.sidecars.values()];
  scheduler.after(HOUR_MS, () => {});
  await scheduler.run();
  return sidecar;
}

export const STAGES: readonly Stage[] = [
  {
    rule: 5,
    promise: 'what a dead cooler holds is not collected',
    play: async (build) => {
      let wasHeldAlone = false;
      let first = 1;
      while ((await coolersThatDie(build, [first]))?.holds === undefined) promise(++first < 100, () => 'nobody cooled');
      for (let second = 1; second < 60 && !wasHeldAlone; second++) {
        const sidecar = await coolersThatDie(build, [first, second]);
        wasHeldAlone = sidecar?.refs.length === 0 && sidecar.holds !== undefined;
      }
      promise(wasHeldAlone, () => 'no cooler died with nothing but its hold on a segment');
    },
    mutant: { file: 'backends/object/sidecar-changes.ts', find: ' && !holds?.length', replace: '' },
  },
  {
    rule: 9,
    promise: 'data without a sidecar is not taken for garbage while a manifest needs it',
    play: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await put(new ObjectBackend(store), A);
      await store.delete(await keysOf(store, (key) => key.endsWith('.meta')));
      const backend = new ObjectBackend(store);
      await backend.collect({ graceMs: 0, full: true });
      for await (const _ of backend.audit({ repair: true }));
      await backend.collect({ graceMs: 0, full: true });
      await assertReadable(backend, A);
    },
    mutant: { file: 'backends/object/audit-segment.ts', find: 'if (held.length === 0) {', replace: 'if (true) {' },
  },
  {
    rule: 13,
    promise: 'putting the same bytes again heals what was damaged',
    play: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await put(new ObjectBackend(store), A);
      for (const key of await keysOf(store, (each) => /^segments\/[0-9a-f]{64}\//.test(each))) {
        await store.put(key, Buffer.from('damage'), { kind: 'any' });
      }
      for await (const _ of new ObjectBackend(store).audit({ repair: true }));
      await put(new ObjectBackend(store), B);
      await assertReadable(new ObjectBackend(store), A);
    },
    mutant: {
      file: 'backends/object/segment-taker.ts',
      find: '    if (sidecar.damaged) {',
      replace: '    if (sidecar.refs.length < 0) {',
    },
  },
  {
    rule: 14,
    promise: 'an everyday collection finds what a crashed writer left',
    play: async (build) => {
      const scheduler = new Scheduler();
      const network = new UnreliableNetwork(
        scheduler,
        new SeededRandom(1),
        NO_FAULTS,
        () => {},
        (code, message) => new build.VarveError(code, message),
      );
      const world = new World(build, scheduler, { seed: 1, isKind: false, wholeSeconds: true, backend: {} });
      const { process, backend } = world.start('writer', network);
      network.strike(process, [{ kind: 'crash', at: 4 }]);
      void new Actor(world, backend, 'writer').commit([world.register.put(A, 'replace', [SEGMENTS])]);
      scheduler.after(HOUR_MS, () => {});
      await scheduler.run();
      const [record] = [...world.watch.records.values()];
      promise(record?.pending.length === 1, () => 'the writer left nothing behind');
      const collector = world.start('collector', network);
      let isDone = false;
      void new Actor(world, collector.backend, 'collector').collect(false).then(() => {
        isDone = true;
      });
      await scheduler.run(() => isDone);
      const left = [...world.watch.records.values()].flatMap(({ pending, releasing }) => [...pending, ...releasing]);
      promise(left.length === 0, () => 'what the writer left was not found');
    },
    mutant: {
      file: 'backends/object/hints.ts',
      find: 'if (this.#markedAt !== undefined && now - this.#markedAt < WRITER_MARK_MS) return;',
      replace: 'if (now > 0) return;',
    },
  },
];
