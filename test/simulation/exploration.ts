import { Actor } from './actor.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { assertQuiescence } from './quiescence.ts';
import { SeededRandom } from './random.ts';
import { Scheduler, settled } from './scheduler.ts';
import type { Network, Request } from './simulated-store.ts';
import { NO_FAULTS, UnreliableNetwork } from './unreliable-network.ts';
import { promise } from './violation.ts';
import { World } from './world.ts';

/** Processes whose requests are interleaved in every possible way. */
export interface Scene {
  readonly name: string;
  /** What is there before; one after the other. */
  readonly setting?: (world: World, stage: Actor) => Promise<void>;
  /** What each process does, at the same time. */
  readonly parts: readonly ((world: World, actor: Actor) => Promise<void>)[];
  readonly spillAbove?: number;
  /** Whether whoever reaps takes everybody for dead at once. */
  readonly isHasty?: boolean;
  /**
   * How often a process may be interrupted while it could go on. Most faults need one or two (Musuvathi and Qadeer, "Iterative
   * Context Bounding", 2007). Default: as often as it likes, with all requests in every order.
   */
  readonly interruptions?: number;
}

export interface Exploration {
  readonly schedules: number;
  /** Whether every interleaving was covered: of two that differ in the order of requests that commute, one. */
  readonly isComplete: boolean;
  readonly violation: Error | undefined;
  /** The order of requests that led to it. */
  readonly trace: readonly string[];
}

/** A request that waits for its turn. */
interface Waiting {
  readonly actor: string;
  /** The same in every run that began the same way. */
  readonly id: string;
  readonly footprint: Footprint;
  readonly proceed: () => void;
}

interface Footprint {
  readonly isWrite: boolean;
  readonly isList: boolean;
  readonly keys: readonly string[];
}

/** A point at which there was a choice. */
interface Choice {
  readonly enabled: readonly Waiting[];
  /** Requests that need not be tried here: a run that began with them was the same. */
  readonly asleep: Map<string, Footprint>;
  taken: number;
}

/** Most runs that turn out to repeat others, for each that does not. */
const REDUNDANCY = 8;

/** Requests wait until somebody chooses one; then it happens and is answered at once. */
class ChosenNetwork implements Network {
  readonly waiting: Waiting[] = [];
  readonly #counts = new Map<string, number>();

  send<Result>({ process, verb, keys, apply }: Request<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const base = `${process.name} ${verb} ${keys.join(' ')}`;
      const count = (this.#counts.get(base) ?? 0) + 1;
      this.#counts.set(base, count);
      const footprint = { isWrite: verb === 'PUT' || verb === 'DELETE', isList: verb === 'LIST', keys };
      const proceed = () => {
        try {
          resolve(apply());
        } catch (error) {
          // What the bucket's watch finds ends the run; the process never hears of it.
          reject(error);
          throw error;
        }
      };
      this.waiting.push({ actor: process.name, id: `${base} ${count}`, footprint, proceed });
    });
  }
}

/**
 * Runs a scene in every interleaving of its requests, depth first, up to `limit` runs. Each run starts anew and follows the choices of the
 * one before it up to the last that had an alternative. Sleep sets (Godefroid, 1996) leave out what differs only in the order
 * of requests that do not touch the same keys.
 */
export async function explore(build: ProtocolBuild, scene: Scene, limit: number): Promise<Exploration> {
  const path: Choice[] = [];
  let schedules = 0;
  for (let runs = 1; ; runs++) {
    const { trace, violation, isRedundant } = await perform(build, scene, path);
    if (!isRedundant) schedules++;
    if (violation !== undefined) return { schedules, isComplete: false, violation, trace };
    if (!advance(path)) return { schedules, isComplete: true, violation: undefined, trace };
    if (schedules >= limit || runs >= REDUNDANCY * limit)
      return { schedules, isComplete: false, violation: undefined, trace };
  }
}

/** Goes on to the next alternative of the last choice that has one. */
function advance(path: Choice[]): boolean {
  for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
    const tried = last.enabled[last.taken] as Waiting;
    last.asleep.set(tried.id, tried.footprint);
    const next = last.enabled.findIndex(({ id }) => !last.asleep.has(id));
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
  scene: Scene,
  path: Choice[],
): Promise<{ trace: string[]; violation: Error | undefined; isRedundant: boolean }> {
  const scheduler = new Scheduler();
  const trace: string[] = [];
  const world = new World(build, scheduler, {
    seed: 1,
    isKind: false,
    wholeSeconds: false,
    backend: {
      leaseMs: 30_000,
      timeoutMs: 60_000,
      compressionLevel: 1,
      spillAbove: scene.spillAbove ?? 64 * 1024,
      cacheBytes: 0,
    },
  });
  const calm = new UnreliableNetwork(
    scheduler,
    new SeededRandom(1),
    NO_FAULTS,
    () => {},
    (code, message) => new build.VarveError(code, message),
  );
  try {
    if (scene.setting !== undefined) {
      const { backend } = world.start('stage', calm);
      await scheduler.finish(scene.setting(world, new Actor(world, backend, 'stage')));
    }
    const network = new ChosenNetwork();
    let left = scene.parts.length;
    let failure: unknown;
    for (const [at, part] of scene.parts.entries()) {
      const name = `p${at + 1}`;
      const { backend } = world.start(name, network);
      part(world, new Actor(world, backend, name)).then(
        () => {
          left--;
        },
        (error: unknown) => {
          failure ??= error;
        },
      );
    }
    let asleep = new Map<string, Footprint>();
    let current = '';
    let interruptions = 0;
    for (let depth = 0; ; ) {
      await settled();
      if (failure !== undefined) throw failure;
      if (left === 0) break;
      if (network.waiting.length === 0) {
        // Nobody has anything to ask, so somebody waits for time to pass.
        promise(await passTime(scheduler, network, () => left === 0), () => 'somebody waits for what never comes');
        continue;
      }
      let choice = path[depth];
      if (choice === undefined) {
        const enabled = enabledOf(network, scene, current, interruptions);
        choice = { enabled, asleep: new Map(asleep), taken: enabled.findIndex(({ id }) => !asleep.has(id)) };
        if (choice.taken < 0) return { trace, violation: undefined, isRedundant: true };
        path.push(choice);
      }
      const { id, footprint, actor } = choice.enabled[choice.taken] as Waiting;
      if (actor !== current && network.waiting.some((each) => each.actor === current)) interruptions++;
      current = actor;
      const position = network.waiting.findIndex((each) => each.id === id);
      promise(position >= 0, () => `the same choices led elsewhere: ${id} is not there`);
      asleep =
        scene.interruptions === undefined
          ? new Map([...choice.asleep].filter(([, other]) => commute(other, footprint)))
          : new Map();
      const [chosen] = network.waiting.splice(position, 1) as [Waiting];
      trace.push(id);
      chosen.proceed();
      depth++;
    }
    await assertQuiescence(world, calm, 'harsh');
    return { trace, violation: undefined, isRedundant: false };
  } catch (error) {
    return { trace, violation: error as Error, isRedundant: false };
  }
}

/** Requests that may come next: all of them, or the first of each process that may run. */
function enabledOf(
  { waiting }: ChosenNetwork,
  scene: Scene,
  current: string,
  interruptions: number,
): readonly Waiting[] {
  const sorted = [...waiting].sort((a, b) => (a.id < b.id ? -1 : 1));
  if (scene.interruptions === undefined) return sorted;
  const firsts = new Map<string, Waiting>();
  for (const each of sorted) if (!firsts.has(each.actor)) firsts.set(each.actor, each);
  const own = firsts.get(current);
  if (own === undefined) return [...firsts.values()];
  if (interruptions >= scene.interruptions) return [own];
  return [own, ...[...firsts.values()].filter((each) => each !== own)];
}

async function passTime(scheduler: Scheduler, network: ChosenNetwork, isDone: () => boolean): Promise<boolean> {
  await scheduler.run(() => network.waiting.length > 0 || isDone());
  return network.waiting.length > 0 || isDone();
}

/** Whether the order of two requests makes no difference to anybody. */
function commute(a: Footprint, b: Footprint): boolean {
  if (!a.isWrite && !b.isWrite) return true;
  return !a.keys.some((key) => b.keys.some((other) => touches(key, a, other, b)));
}

function touches(key: string, a: Footprint, other: string, b: Footprint): boolean {
  if (a.isList) return other.startsWith(key);
  if (b.isList) return key.startsWith(other);
  return key === other;
}
