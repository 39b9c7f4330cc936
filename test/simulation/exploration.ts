import { Actor } from './actor.ts';
import {
  ChosenNetwork,
  commute,
  type Fate,
  type Footprint,
  type Waiting,
} from './chosen-network.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { assertQuiescence } from './quiescence.ts';
import { SeededRandom } from './random.ts';
import { Scheduler, settled } from './scheduler.ts';
import { NO_FAULTS, UnreliableNetwork } from './unreliable-network.ts';
import { promise, Violation } from './violation.ts';
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
   * How often a process may be interrupted while it could go on. Most faults need one or two
   * (Musuvathi and Qadeer, "Iterative Context Bounding", 2007). Default: as often as it likes, with
   * all requests in every order.
   */
  readonly interruptions?: number;
  /**
   * How many requests may go wrong in a run: any of them that may write, in every way that there
   * is. Default: 0.
   */
  readonly faults?: number;
  /** Whether there is more of it than a thorough run goes through. Default: false. */
  readonly isLarge?: boolean;
}

export interface Exploration {
  readonly schedules: number;
  /**
   * Whether every interleaving was covered: of two that differ in the order of requests that
   * commute, one.
   */
  readonly isComplete: boolean;
  readonly violation: Error | undefined;
  /** The order of requests that led to it. */
  readonly trace: readonly string[];
}

/** A request that may come next, and how it may end. */
interface Option {
  readonly id: string;
  readonly fate: Fate;
  /** By which it is known among those that are asleep. */
  readonly name: string;
}

/** A point at which there was a choice. */
interface Choice {
  readonly enabled: readonly Option[];
  /** Options that need not be tried here: a run that began with them was the same. */
  readonly asleep: Map<string, Footprint>;
  taken: number;
  /** What the option taken touched. */
  effect?: Footprint;
}

const SETTINGS = { leaseMs: 30_000, timeoutMs: 60_000, compressionLevel: 1, cacheBytes: 0 };

/** Most runs that turn out to repeat others, for each that does not. */
const REDUNDANCY = 8;

/**
 * Runs a scene in every interleaving of its requests, depth first, up to `limit` runs. Each run
 * starts anew and follows the choices of the one before it up to the last that had an alternative.
 * Sleep sets (Godefroid, 1996) leave out what differs only in the order of requests that do not
 * touch the same keys. Whoever waits for time to pass goes on when nobody else can.
 */
export async function explore(
  build: ProtocolBuild,
  scene: Scene,
  limit: number,
): Promise<Exploration> {
  const path: Choice[] = [];
  const clean = new Set<string>();
  let schedules = 0;
  for (let runs = 1; ; runs++) {
    const { trace, violation, isRedundant } = await perform(build, scene, path, clean);
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
  scene: Scene,
  path: Choice[],
  clean: Set<string>,
): Promise<{ trace: string[]; violation: Error | undefined; isRedundant: boolean }> {
  const scheduler = new Scheduler();
  const trace: string[] = [];
  const backend = { ...SETTINGS, spillAbove: scene.spillAbove ?? 64 * 1024 };
  const world = new World(build, scheduler, {
    seed: 1,
    isKind: false,
    wholeSeconds: false,
    backend,
  });
  const calm = new UnreliableNetwork(scheduler, new SeededRandom(1), NO_FAULTS, () => {}, build);
  try {
    if (scene.setting !== undefined) {
      const stage = world.start('stage', calm);
      await scheduler.finish(scene.setting(world, new Actor(world, stage.backend, 'stage')));
    }
    const isWhole = await interleave(
      world,
      scene,
      path,
      new ChosenNetwork(world.bucket, build),
      trace,
    );
    if (!isWhole) return { trace, violation: undefined, isRedundant: true };
    const state = fingerprintOf(world);
    if (!clean.has(state)) await assertQuiescence(world, calm, scene.isHasty ? 'harsh' : 'fair');
    clean.add(state);
    return { trace, violation: undefined, isRedundant: false };
  } catch (error) {
    return { trace, violation: error as Error, isRedundant: false };
  }
}

/**
 * Follows the path, and adds to it. Returns whether it came to the end; otherwise another run has
 * been the same.
 */
async function interleave(
  world: World,
  scene: Scene,
  path: Choice[],
  network: ChosenNetwork,
  trace: string[],
): Promise<boolean> {
  const { scheduler } = world;
  const ended = new Set<string>();
  let failure: unknown;
  for (const [at, part] of scene.parts.entries()) {
    const name = `p${at + 1}`;
    part(world, new Actor(world, world.start(name, network).backend, name)).then(
      () => ended.add(name),
      (error: unknown) => {
        failure ??= error;
      },
    );
  }
  let asleep = new Map<string, Footprint>();
  let current = '';
  let interruptions = 0;
  let faults = 0;
  for (let depth = 0; ; ) {
    await settled();
    if (failure !== undefined) throw failure;
    if (ended.size === scene.parts.length) return true;
    if (network.waiting.length === 0) {
      // Nobody has anything to ask, so somebody waits for time to pass.
      await scheduler.run(() => network.waiting.length > 0 || ended.size === scene.parts.length);
      const isStuck = network.waiting.length === 0 && ended.size < scene.parts.length;
      promise(!isStuck, () => 'somebody waits for what never comes');
      continue;
    }
    let choice = path[depth];
    if (choice === undefined) {
      const enabled = optionsOf(network, scene, { current, interruptions, faults });
      choice = {
        enabled,
        asleep: new Map(asleep),
        taken: enabled.findIndex(({ name }) => !asleep.has(name)),
      };
      if (choice.taken < 0) return false;
      path.push(choice);
    }
    const { id, fate, name } = choice.enabled[choice.taken] as Option;
    const chosen = network.waiting.find((each) => each.id === id);
    if (chosen === undefined)
      throw new Violation(`the same choices led elsewhere: ${id} is not there`);
    const actor = chosen.process.name;
    if (actor !== current && network.waiting.some((each) => each.process.name === current))
      interruptions++;
    if (fate !== 'answered') faults++;
    current = actor;
    network.waiting = network.waiting.filter((each) => each !== chosen);
    trace.push(name);
    const effect = chosen.proceed(fate);
    choice.effect = effect;
    if (fate === 'fatal') ended.add(actor);
    const isReduced = scene.interruptions === undefined;
    asleep = new Map([...choice.asleep].filter(([, other]) => isReduced && commute(other, effect)));
    depth++;
  }
}

/** The bucket as it is now: where it has been so before, what follows has been seen, too. */
function fingerprintOf({ bucket, scheduler }: World): string {
  const objects = [...bucket.objects].map(
    ([key, { etag, lastModified }]) => `${key} ${etag} ${lastModified}`,
  );
  return `${scheduler.now} ${objects.sort().join('\n')}`;
}

/**
 * What may come next: any request, or the first of each process that may run; and each may go
 * wrong, as long as that is allowed.
 */
function optionsOf(
  { waiting }: ChosenNetwork,
  scene: Scene,
  { current, interruptions, faults }: { current: string; interruptions: number; faults: number },
): readonly Option[] {
  const mayFail = faults < (scene.faults ?? 0);
  return requestsOf(waiting, scene, current, interruptions).flatMap(
    ({ id, mayWrite }): Option[] => {
      const fine = { id, fate: 'answered' as const, name: id };
      if (!mayFail || !mayWrite) return [fine];
      return [
        fine,
        { id, fate: 'lost', name: `${id}, and its answer is lost` },
        { id, fate: 'fatal', name: `${id}, and its process dies` },
      ];
    },
  );
}

function requestsOf(
  waiting: readonly Waiting[],
  scene: Scene,
  current: string,
  interruptions: number,
): readonly Waiting[] {
  const sorted = [...waiting].sort((a, b) => (a.id < b.id ? -1 : 1));
  if (scene.interruptions === undefined) return sorted;
  const firsts = new Map<string, Waiting>();
  for (const each of sorted)
    if (!firsts.has(each.process.name)) firsts.set(each.process.name, each);
  const own = firsts.get(current);
  if (own === undefined) return [...firsts.values()];
  if (interruptions >= scene.interruptions) return [own];
  return [own, ...[...firsts.values()].filter((each) => each !== own)];
}
