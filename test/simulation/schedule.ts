import { Actor } from './actor.ts';
import { drawLane, drawUniverse, furnish } from './lanes.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { assertQuiescence } from './quiescence.ts';
import { SeededRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { drawMisfortunes, drawRates, drawSkew, THEMES, type Theme } from './themes.ts';
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

const LEASE_MS = 1500;
const TIMEOUT_MS = 15_000;

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
  const network = new UnreliableNetwork(scheduler, new SeededRandom(seed, 1), rates, tell, build);
  const world = new World(build, scheduler, {
    seed,
    isKind: rates === NO_FAULTS,
    wholeSeconds: random.chance(0.5),
    backend: {
      leaseMs: LEASE_MS,
      timeoutMs: TIMEOUT_MS,
      compressionLevel: 1,
      concurrency: random.pick([2, 32]),
      spillAbove: random.chance(0.2) && theme.operations.damage === 0 ? 2 : 64 * 1024,
      cacheBytes: random.chance(0.5) ? 0 : 100_000,
      scannedReferences: random.chance(0.3) ? 2 : 1000,
    },
  });
  try {
    await runProcesses(world, network, random, theme, rates, tell);
    tell('everybody has stopped');
    network.rates = NO_FAULTS;
    if (theme.isErased) {
      // At once, while what they left may still be somebody's work.
      const { backend } = world.start('eraser', network);
      await scheduler.finish(new Actor(world, backend, 'eraser').collect(true, { erase: true }));
    }
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
  const universe = drawUniverse(random, theme);
  if (theme.isFurnished) {
    network.rates = NO_FAULTS;
    const { backend } = world.start('stage', network);
    await world.scheduler.finish(
      furnish(world, new Actor(world, backend, 'stage'), random, theme, universe),
    );
    network.rates = rates;
  }
  let failure: unknown;
  const doing = new Map<SimulatedProcess, number>();
  for (let number = 1; number <= random.pick([2, 3, 3, 4]); number++) {
    const { process, backend } = world.start(`p${number}`, network, drawSkew(random, theme));
    if (rates !== NO_FAULTS) network.strike(process, drawMisfortunes(random, theme));
    const isImpatient = rates !== NO_FAULTS && random.chance(0.2);
    const leaves = new SeededRandom(random.between(0, 1_000_000));
    const actor = new Actor(world, backend, process.name, () => {
      if (!isImpatient || leaves.chance(0.5)) return undefined;
      const leaving = new AbortController();
      process.deliver(leaves.between(0, 200), () => {
        tell(`${process.name}: the caller leaves`);
        leaving.abort();
      });
      return leaving.signal;
    });
    const lanes = Array.from({ length: random.pick([1, 1, 2]) }, () =>
      drawLane(world, actor, random, theme, universe, (line) => tell(`${process.name}: ${line}`)),
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
  promise(
    stuck.length === 0,
    () => `${stuck.map(({ name }) => name).join(', ')} wait for what never comes`,
  );
}
