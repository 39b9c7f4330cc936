import type { ManifestKey, NewSegment } from '../../src/backends/backend.ts';
import { Actor } from './actor.ts';
import { SEGMENTS, type TrackedWrite } from './operations.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { assertQuiescence } from './quiescence.ts';
import { SeededRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { drawMisfortunes, drawRates, THEMES, type Theme } from './themes.ts';
import { type FaultRates, NO_FAULTS, UnreliableNetwork } from './unreliable-network.ts';
import { promise } from './violation.ts';
import { World } from './world.ts';

/** What became of one schedule. */
export interface ScheduleResult {
  readonly seed: number;
  readonly violation: Error | undefined;
  /** Every request and every step, in order. */
  readonly trace: readonly string[];
  /** How long it took, in simulated ms. */
  readonly elapsed: number;
}

const KEYS: readonly ManifestKey[] = [
  { kind: 'conversation', id: 'c1' },
  { kind: 'conversation', id: 'c2' },
  { kind: 'pin', id: 'p1' },
  { kind: 'conversation', id: 'c3' },
  { kind: 'blob', id: 'b1' },
];

const LEASE_MS = 1500;
const TIMEOUT_MS = 15_000;

/** What a process does at once, one operation after the other. */
type Lane = readonly { readonly waits: number; readonly operation: () => Promise<void> }[];

/** Runs one schedule: all that happens follows from the seed. */
export async function runSchedule(build: ProtocolBuild, seed: number): Promise<ScheduleResult> {
  const random = new SeededRandom(seed);
  const scheduler = new Scheduler();
  const trace: string[] = [];
  const tell = (line: string) => {
    trace.push(`${scheduler.now.toFixed(1)} ${line}`);
  };
  const theme = THEMES[seed % THEMES.length] as Theme;
  const rates = random.chance(0.25) ? NO_FAULTS : drawRates(random, theme.faults);
  const network = new UnreliableNetwork(
    scheduler,
    new SeededRandom(seed, 1),
    rates,
    tell,
    (code, message) => new build.VarveError(code, message),
  );
  const world = new World(build, scheduler, {
    seed,
    isKind: rates === NO_FAULTS,
    wholeSeconds: random.chance(0.5),
    backend: {
      leaseMs: LEASE_MS,
      timeoutMs: TIMEOUT_MS,
      compressionLevel: 1,
      concurrency: random.pick([2, 32]),
      spillAbove: random.chance(0.2) ? 2 : 64 * 1024,
      cacheBytes: random.chance(0.5) ? 0 : 100_000,
      scannedReferences: random.chance(0.3) ? 2 : 1000,
    },
  });
  try {
    await runProcesses(world, network, random, theme, rates, tell);
    tell('everybody has stopped');
    network.rates = NO_FAULTS;
    await assertQuiescence(world, network, rates === NO_FAULTS ? 'kind' : 'harsh');
    return { seed, violation: undefined, trace, elapsed: scheduler.now };
  } catch (error) {
    return { seed, violation: error as Error, trace, elapsed: scheduler.now };
  }
}

async function runProcesses(
  world: World,
  network: UnreliableNetwork,
  random: SeededRandom,
  theme: Theme,
  rates: FaultRates,
  tell: (line: string) => void,
): Promise<void> {
  const universe = {
    keys: KEYS.slice(0, random.pick(theme.keys)),
    segments: SEGMENTS.slice(0, random.pick(theme.segments)),
  };
  let failure: unknown;
  const doing = new Map<SimulatedProcess, number>();
  for (let number = 1; number <= random.pick([2, 3, 3, 4]); number++) {
    const { process, backend } = world.start(`p${number}`, network, random.between(-1e9, 1e9));
    if (rates !== NO_FAULTS) network.strike(process, drawMisfortunes(random, theme));
    const actor = new Actor(world, backend, process.name);
    const lanes = Array.from({ length: random.pick([1, 1, 2]) }, () =>
      drawLane(world, actor, random, theme, universe, process.name, tell),
    );
    const closes = random.chance(0.3);
    doing.set(process, lanes.length);
    const startsAfter = random.between(0, 30);
    const run = async () => {
      await process.sleep(startsAfter);
      await Promise.all(
        lanes.map(async (lane) => {
          for (const { waits, operation } of lane) {
            if (waits > 0) await process.sleep(waits);
            await operation();
          }
        }),
      );
      if (closes) await backend.close();
    };
    run().then(
      () => {
        doing.delete(process);
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
  }
  await world.scheduler.run(() => failure !== undefined);
  if (failure !== undefined) throw failure;
  const stuck = [...doing.keys()].filter(({ isCrashed }) => !isCrashed);
  promise(stuck.length === 0, () => `${stuck.map(({ name }) => name).join(', ')} wait for what never comes`);
}

interface Universe {
  readonly keys: readonly ManifestKey[];
  readonly segments: readonly NewSegment[];
}

function drawLane(
  world: World,
  actor: Actor,
  random: SeededRandom,
  theme: Theme,
  { keys, segments }: Universe,
  name: string,
  tell: (line: string) => void,
): Lane {
  const entries = (most: number) =>
    Array.from({ length: random.between(1, most) }, () => random.sample(segments, random.pick([0, 1, 1, 2])));
  const drawOperation = (): (() => Promise<void>) => {
    const key = random.pick(keys);
    const what = random.weighted(theme.operations);
    const { register } = world;
    const say = (text: string) => tell(`${name}: ${text} ${key.id}`);
    const one = (write: TrackedWrite) => async () => {
      say(`${what} (${write.bodies.length} entries, ${write.bodies[0]})`);
      await actor.commit([write]);
    };
    switch (what) {
      case 'put':
        return one(register.put(key, 'replace', entries(2)));
      case 'error':
      case 'skip':
        return one(register.put(key, what, entries(2)));
      case 'append': {
        const isNamed = random.chance(0.5);
        const write = register.append(key, entries(2), isNamed ? `key ${random.name(4)}` : undefined);
        write.mayRepeat = isNamed && random.chance(0.7);
        return async () => {
          say(`append${isNamed ? ' with a key' : ''} (${write.bodies[0]})`);
          await actor.commit([write]);
          if (write.mayRepeat) await actor.commit([write]);
        };
      }
      case 'delete':
        return one(register.delete(key));
      case 'several': {
        const writes = random.sample(keys, 3).map((each) => register.put(each, 'replace', entries(1)));
        return async () => {
          say('several puts');
          await actor.commit(writes);
        };
      }
      case 'publish': {
        const write = register.put(key, 'replace', entries(3));
        return async () => {
          say(`publish (${write.bodies[0]})`);
          await actor.publish(write);
        };
      }
      case 'revised': {
        const isDelete = random.chance(0.4);
        const drawn = entries(1);
        return async () => {
          say('read, then write at that revision');
          const revision = await actor.read(key);
          if (revision === undefined) return;
          await actor.commit([
            isDelete ? register.delete(key, revision) : register.put(key, 'replace', drawn, revision),
          ]);
        };
      }
      case 'read':
        return async () => {
          say('read');
          await actor.read(key);
        };
      case 'list':
        return async () => {
          say('list');
          await actor.list();
        };
      case 'collect': {
        const isFull = random.chance(0.6);
        return async () => {
          say(`collect${isFull ? ' in full' : ''}`);
          await actor.collect(isFull);
        };
      }
      case 'audit': {
        const repair = random.chance(0.8);
        return async () => {
          say(`audit${repair ? ' and repair' : ''}`);
          await actor.audit(repair);
        };
      }
    }
  };
  return Array.from({ length: random.pick([1, 2, 3]) }, () => {
    const waits = theme.isSlow ? random.pick([0, 0, 1000, 5000, 8000]) : random.pick([0, 0, 0, 10, 50]);
    return { waits, operation: drawOperation() };
  });
}
