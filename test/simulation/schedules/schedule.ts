import { assertQuiescence } from '../checks/quiescence.ts';
import { check } from '../checks/violation.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { Scheduler } from '../simulator/scheduler.ts';
import { SeededRandom } from '../simulator/seeded-random.ts';
import type { SimulatedProcess } from '../simulator/simulated-process.ts';
import { Simulation } from '../simulator/simulation.ts';
import { type DataSet, drawDataSet, drawTask, populate, type Task } from './tasks.ts';
import { type FaultRates, NO_FAULTS, UnreliableNetwork } from './unreliable-network.ts';
import {
  drawProcessFaults,
  drawRates,
  drawSkew,
  headsOf,
  pageSizesOf,
  type Workload,
  workloadOf,
} from './workloads.ts';

/** What happened in one schedule. */
export interface ScheduleResult {
  readonly seed: number;
  readonly violation: Error | undefined;
  /** Every request and every step, in order. */
  readonly trace: readonly string[];
  /** How long it took, in simulated ms. */
  readonly elapsed: number;
}

/** What all of a schedule is drawn from and written to. */
interface Run {
  readonly simulation: Simulation;
  readonly network: UnreliableNetwork;
  readonly random: SeededRandom;
  readonly workload: Workload;
  readonly rates: FaultRates;
  readonly log: (line: string) => void;
}

const HEARTBEAT_TIMEOUT_MS = 1500;
const TIMEOUT_MS = 15_000;

/** Runs one schedule. Everything in it follows from the seed. */
export async function runSchedule(build: ProtocolBuild, seed: number): Promise<ScheduleResult> {
  const random = new SeededRandom(seed);
  const scheduler = new Scheduler();
  const trace: string[] = [];
  const log = (line: string) => {
    trace.push(`${scheduler.now.toFixed(1)} ${line}`);
  };
  const workload = workloadOf(seed);
  const rates = random.chance(0.25) ? NO_FAULTS : drawRates(random, workload.faultFactor);
  const network = new UnreliableNetwork(scheduler, new SeededRandom(seed, 1), rates, log, build);
  const simulation = new Simulation(build, scheduler, {
    seed,
    isFaultless: rates === NO_FAULTS,
    wholeSeconds: random.chance(0.5),
    heads: headsOf(seed),
    backend: {
      leaseMs: HEARTBEAT_TIMEOUT_MS,
      timeoutMs: TIMEOUT_MS,
      compressionLevel: 1,
      concurrency: random.pick([2, 32]),
      spillAbove: random.chance(0.2) && workload.operations.damage === 0 ? 2 : 64 * 1024,
      cacheBytes: random.chance(0.5) ? 0 : 100_000,
      pageSizes: pageSizesOf(workload),
      scannedReferences: random.chance(0.3) ? 2 : 1000,
    },
  });
  try {
    await runProcesses({ simulation, network, random, workload, rates, log });
    log('all processes have stopped');
    network.rates = NO_FAULTS;
    if (workload.endsWithErasure) {
      // At once, while what the processes left may still look like work under way.
      const eraser = simulation.start('eraser', network);
      await scheduler.finish(eraser.collect(true, { erase: true }));
    }
    await assertQuiescence(simulation, network, rates === NO_FAULTS ? 'none' : 'all');
    return { seed, violation: undefined, trace, elapsed: scheduler.now };
  } catch (error) {
    return { seed, violation: error as Error, trace, elapsed: scheduler.now };
  }
}

async function runProcesses(run: Run): Promise<void> {
  const { simulation, network, random, workload, rates } = run;
  const dataSet = drawDataSet(random, workload);
  if (workload.isPopulated) {
    network.rates = NO_FAULTS;
    const client = simulation.start('setup', network);
    await simulation.scheduler.finish(populate(simulation, client, random, workload, dataSet));
    network.rates = rates;
  }
  let failure: unknown;
  const running = new Set<SimulatedProcess>();
  for (let number = 1; number <= random.pick([2, 3, 3, 4]); number++) {
    const { process, end } = startProcess(run, `p${number}`, dataSet);
    running.add(process);
    end.then(
      () => {
        running.delete(process);
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
  }
  await simulation.scheduler.run(() => failure !== undefined);
  if (failure !== undefined) throw failure;
  const stuck = [...running].filter(({ isCrashed }) => !isCrashed);
  check(
    stuck.length === 0,
    () => `${stuck.map(({ name }) => name).join(', ')} wait for something that never happens`,
  );
}

/** Starts a process with one or two tasks at once. `end`: when all of them are done. */
function startProcess(
  { simulation, network, random, workload, rates, log }: Run,
  name: string,
  dataSet: DataSet,
): { process: SimulatedProcess; end: Promise<void> } {
  const hasFaults = rates !== NO_FAULTS;
  const skewMs = drawSkew(random, workload);
  const faults = hasFaults ? drawProcessFaults(random, workload) : [];
  const mayAbort = hasFaults && random.chance(0.2);
  const aborts = new SeededRandom(random.between(0, 1_000_000));
  const signalOfCall = () => {
    if (!mayAbort || aborts.chance(0.5)) return undefined;
    const controller = new AbortController();
    process.deliver(aborts.between(0, 200), () => {
      log(`${name}: the caller aborts`);
      controller.abort();
    });
    return controller.signal;
  };
  const client = simulation.start(name, network, { skewMs, signalOfCall });
  const { process } = client;
  network.planFaults(process, faults);
  const tasks = Array.from({ length: random.pick([1, 1, 2]) }, () =>
    drawTask(simulation, client, random, workload, dataSet, (line) => log(`${name}: ${line}`)),
  );
  const closes = random.chance(0.3);
  const startsAfter = random.between(0, 30);
  const runTasks = async () => {
    await process.sleep(startsAfter);
    await Promise.all(tasks.map((task) => runTask(task, process)));
    if (closes) await client.close();
  };
  return { process, end: runTasks() };
}

async function runTask(task: Task, process: SimulatedProcess): Promise<void> {
  for (const { waitMs, run } of task) {
    if (waitMs > 0) await process.sleep(waitMs);
    await run();
  }
}
