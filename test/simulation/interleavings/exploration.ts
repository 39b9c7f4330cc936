import type { HeadsState } from '../../../src/backends/object/heads/heads-memory.ts';
import { assertQuiescence } from '../checks/quiescence.ts';
import { check, Violation } from '../checks/violation.ts';
import { NO_FAULTS, UnreliableNetwork } from '../schedules/unreliable-network.ts';
import type { Client } from '../simulator/client.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { Scheduler, settled } from '../simulator/scheduler.ts';
import { SeededRandom } from '../simulator/seeded-random.ts';
import { Simulation } from '../simulator/simulation.ts';
import { SMALL_PAGES } from '../simulator/small-pages.ts';
import {
  ChosenNetwork,
  commute,
  type Ending,
  type Footprint,
  type Waiting,
} from './chosen-network.ts';

/** What a process does: one operation, or several one after the other. */
export type Step = (simulation: Simulation, client: Client) => Promise<void>;

/** A few processes whose requests are interleaved in every possible order. */
export interface Scenario {
  readonly name: string;
  /** What happens before the processes start. */
  readonly setup?: Step;
  /** What each process does, all at the same time. */
  readonly processes: readonly Step[];
  readonly spillAbove?: number;
  /** Whether every append makes a page. Default: false. */
  readonly hasPages?: boolean;
  /** What lists are read from. Default: `none`, every manifest's object. */
  readonly heads?: HeadsState;
  /** Whether every heartbeat counts as missed: any attempt may be fenced. Default: false. */
  readonly hasMissedHeartbeats?: boolean;
  /**
   * How often a process may be preempted while it could go on. Most defects need one or two
   * (Musuvathi and Qadeer, "Iterative Context Bounding", 2007). Default: any number, with all
   * requests in every order.
   */
  readonly preemptions?: number;
  /** How many requests that may write end in a fault in one run, in every way. Default: 0. */
  readonly faults?: number;
  /** Whether it has too many schedules to run them all. Default: false. */
  readonly isLarge?: boolean;
}

export interface Exploration {
  readonly schedules: number;
  /**
   * Whether every interleaving was covered. Of those that differ only in the order of requests that
   * commute, one is enough.
   */
  readonly isComplete: boolean;
  readonly violation: Error | undefined;
  /** The requests of the last run, in order. */
  readonly trace: readonly string[];
}

/** A request that may be next, and how it may end. */
interface Option {
  readonly id: string;
  readonly ending: Ending;
  /** Names both in `asleep` and in traces. */
  readonly name: string;
}

/** A point at which there was a choice. */
interface Choice {
  readonly enabled: readonly Option[];
  /** Options that need not be tried here: they lead to a run that was made already. */
  readonly asleep: Map<string, Footprint>;
  taken: number;
  /** What the taken option touched. */
  effect?: Footprint;
}

const SETTINGS = { leaseMs: 30_000, timeoutMs: 60_000, compressionLevel: 1, cacheBytes: 0 };

/** The most runs that may repeat others, for each that does not. */
const REDUNDANCY = 8;

/**
 * Runs a scenario in every interleaving of its requests, depth first, up to `limit` runs. Each run
 * starts over and repeats the choices of the one before it up to the last that has an alternative.
 * Sleep sets (Godefroid, 1996) leave out runs that differ only in the order of requests that do not
 * touch the same keys. Time passes only when no request waits.
 */
export async function explore(
  build: ProtocolBuild,
  scenario: Scenario,
  limit: number,
): Promise<Exploration> {
  const path: Choice[] = [];
  const clean = new Set<string>();
  let schedules = 0;
  for (let runs = 1; ; runs++) {
    const { trace, violation, isRedundant } = await perform(build, scenario, path, clean);
    if (!isRedundant) schedules++;
    if (violation !== undefined) return { schedules, isComplete: false, violation, trace };
    if (!advance(path)) return { schedules, isComplete: true, violation: undefined, trace };
    if (schedules >= limit || runs >= REDUNDANCY * limit)
      return { schedules, isComplete: false, violation: undefined, trace };
  }
}

/** Takes the next alternative of the last choice that has one. */
function advance(path: Choice[]): boolean {
  for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
    const tried = last.enabled[last.taken] as Option;
    last.asleep.set(tried.name, last.effect as Footprint);
    const next = last.enabled.findIndex(({ name }) => !last.asleep.has(name));
    if (next >= 0) {
      last.taken = next;
      return true;
    }
    path.pop();
  }
  return false;
}

async function perform(
  build: ProtocolBuild,
  scenario: Scenario,
  path: Choice[],
  clean: Set<string>,
): Promise<{ trace: string[]; violation: Error | undefined; isRedundant: boolean }> {
  const scheduler = new Scheduler();
  const trace: string[] = [];
  const { spillAbove, hasPages = false } = scenario;
  const pageSizes = hasPages ? SMALL_PAGES : undefined;
  const backend = { ...SETTINGS, spillAbove, pageSizes };
  const simulation = new Simulation(build, scheduler, {
    seed: 1,
    isFaultless: false,
    wholeSeconds: false,
    heads: scenario.heads ?? 'none',
    backend,
  });
  const reliable = new UnreliableNetwork(
    scheduler,
    new SeededRandom(1),
    NO_FAULTS,
    () => {},
    build,
  );
  try {
    if (scenario.setup !== undefined)
      await scheduler.finish(scenario.setup(simulation, simulation.start('setup', reliable)));
    const isWhole = await interleave(
      simulation,
      scenario,
      path,
      new ChosenNetwork(simulation.bucket, build),
      trace,
    );
    if (!isWhole) return { trace, violation: undefined, isRedundant: true };
    const state = fingerprintOf(simulation);
    if (!clean.has(state))
      await assertQuiescence(
        simulation,
        reliable,
        scenario.hasMissedHeartbeats ? 'all' : 'no-delays',
      );
    clean.add(state);
    return { trace, violation: undefined, isRedundant: false };
  } catch (error) {
    return { trace, violation: error as Error, isRedundant: false };
  }
}

/**
 * Makes the choices of the path, and adds to it. Returns whether the run came to its end; if not,
 * it would repeat another run.
 */
async function interleave(
  simulation: Simulation,
  scenario: Scenario,
  path: Choice[],
  network: ChosenNetwork,
  trace: string[],
): Promise<boolean> {
  const { scheduler } = simulation;
  const ended = new Set<string>();
  let failure: unknown;
  for (const [at, step] of scenario.processes.entries()) {
    const name = `p${at + 1}`;
    step(simulation, simulation.start(name, network)).then(
      () => ended.add(name),
      (error: unknown) => {
        failure ??= error;
      },
    );
  }
  let asleep = new Map<string, Footprint>();
  let current = '';
  let preemptions = 0;
  let faults = 0;
  for (let depth = 0; ; ) {
    await settled();
    if (failure !== undefined) throw failure;
    if (ended.size === scenario.processes.length) return true;
    if (network.waiting.length === 0) {
      // No process has sent a request, so one of them waits for time to pass.
      await scheduler.run(
        () => network.waiting.length > 0 || ended.size === scenario.processes.length,
      );
      const isStuck = network.waiting.length === 0 && ended.size < scenario.processes.length;
      check(!isStuck, () => 'a process waits for something that never happens');
      continue;
    }
    let choice = path[depth];
    if (choice === undefined) {
      const enabled = optionsOf(network, scenario, { current, preemptions, faults });
      choice = {
        enabled,
        asleep: new Map(asleep),
        taken: enabled.findIndex(({ name }) => !asleep.has(name)),
      };
      if (choice.taken < 0) return false;
      path.push(choice);
    }
    const { id, ending, name } = choice.enabled[choice.taken] as Option;
    const chosen = network.waiting.find((each) => each.id === id);
    if (chosen === undefined)
      throw new Violation(`the same choices led to other requests: ${id} was not sent`);
    const process = chosen.process.name;
    if (process !== current && network.waiting.some((each) => each.process.name === current))
      preemptions++;
    if (ending !== 'answered') faults++;
    current = process;
    network.waiting = network.waiting.filter((each) => each !== chosen);
    trace.push(name);
    const effect = chosen.proceed(ending);
    choice.effect = effect;
    if (ending === 'crashed') ended.add(process);
    const isReduced = scenario.preemptions === undefined;
    asleep = new Map([...choice.asleep].filter(([, other]) => isReduced && commute(other, effect)));
    depth++;
  }
}

/** The state of the bucket: a clean-up of a state that was checked before need not run again. */
function fingerprintOf({ bucket, scheduler }: Simulation): string {
  const objects = [...bucket.objects].map(
    ([key, { etag, lastModified }]) => `${key} ${etag} ${lastModified}`,
  );
  return `${scheduler.now} ${objects.sort().join('\n')}`;
}

/**
 * What may come next: any request, or the first of each process that may run. Each may end in a
 * fault as long as faults are allowed.
 */
function optionsOf(
  { waiting }: ChosenNetwork,
  scenario: Scenario,
  { current, preemptions, faults }: { current: string; preemptions: number; faults: number },
): readonly Option[] {
  const mayFail = faults < (scenario.faults ?? 0);
  return requestsOf(waiting, scenario, current, preemptions).flatMap(
    ({ id, mayWrite }): Option[] => {
      const fine = { id, ending: 'answered' as const, name: id };
      if (!mayFail || !mayWrite) return [fine];
      return [
        fine,
        { id, ending: 'lost', name: `${id}, and its answer is lost` },
        { id, ending: 'crashed', name: `${id}, and its process crashes` },
      ];
    },
  );
}

function requestsOf(
  waiting: readonly Waiting[],
  scenario: Scenario,
  current: string,
  preemptions: number,
): readonly Waiting[] {
  const sorted = [...waiting].sort((a, b) => (a.id < b.id ? -1 : 1));
  if (scenario.preemptions === undefined) return sorted;
  const firsts = new Map<string, Waiting>();
  for (const each of sorted)
    if (!firsts.has(each.process.name)) firsts.set(each.process.name, each);
  const own = firsts.get(current);
  if (own === undefined) return [...firsts.values()];
  if (preemptions >= scenario.preemptions) return [own];
  return [own, ...[...firsts.values()].filter((each) => each !== own)];
}
