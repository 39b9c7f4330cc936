import type { ManifestKey } from '../../src/backends/contract/manifests.ts';
import { Actor, type Patience } from './actor.ts';
import { type Cue, DirectedNetwork, type HeldRequest } from './directed-network.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { Scheduler } from './scheduler.ts';
import { World } from './world.ts';

/** Leases of plays, in ms. */
const LEASE_MS = 1500;

/** How long a change is tried in plays, in ms. */
const TIMEOUT_MS = 15_000;

export const A: ManifestKey = { kind: 'conversation', id: 'a' };
export const B: ManifestKey = { kind: 'conversation', id: 'b' };

/** A play that cannot go on as it was written: it proves nothing, whatever the protocol does. */
class Misdirection extends Error {
  override readonly name = 'Misdirection';
}

/** Work that goes on beside the play. */
export interface Task {
  isDone: boolean;
  failure: unknown;
}

/**
 * Some processes and a director, who says what comes first: for orders and misfortunes that hardly
 * ever come about by chance.
 */
export class Play {
  readonly world: World;
  readonly #scheduler = new Scheduler();
  readonly #network: DirectedNetwork;

  /**
   * `isKind`: nobody dies and nobody is late, so that nobody may be fenced, and nothing may leak.
   */
  constructor(build: ProtocolBuild, isKind = true) {
    this.#network = new DirectedNetwork(this.#scheduler, build);
    this.world = new World(build, this.#scheduler, {
      seed: 1,
      isKind,
      wholeSeconds: false,
      backend: { leaseMs: LEASE_MS, timeoutMs: TIMEOUT_MS, compressionLevel: 1, cacheBytes: 0 },
    });
  }

  enter(name: string, patience?: Patience): Actor {
    return new Actor(this.world, this.world.start(name, this.#network).backend, name, patience);
  }

  /** The next request of that kind waits. */
  hold(cue: Cue): HeldRequest {
    return this.#network.hold(cue);
  }

  /** From now on, requests of that kind never arrive. */
  lose(cue: Cue): void {
    this.#network.lose(cue);
  }

  /** The process will die of its request of that number. */
  kill(process: string, request: number): void {
    this.#network.kill(process, request);
  }

  begin(work: Promise<unknown>): Task {
    const task: Task = { isDone: false, failure: undefined };
    work.then(
      () => {
        task.isDone = true;
      },
      (error: unknown) => {
        task.isDone = true;
        task.failure = error;
      },
    );
    return task;
  }

  /** Lets the play go on until work that was begun has ended. Throws what it throws. */
  async end(task: Task): Promise<void> {
    await this.until(() => task.isDone);
    if (task.failure !== undefined) throw task.failure;
  }

  /** Lets the play go on until the work is done. */
  async act<Result>(work: Promise<Result>): Promise<Result> {
    await this.end(this.begin(work));
    return work;
  }

  /** The same for a process that may die meanwhile. */
  async actOrDie(work: Promise<unknown>): Promise<void> {
    const task = this.begin(work);
    await this.#scheduler.run(() => task.isDone);
    if (task.failure !== undefined) throw task.failure;
  }

  async until(isSo: () => boolean): Promise<void> {
    await this.#scheduler.run(isSo);
    if (!isSo()) throw new Misdirection('the play waits for what never comes');
  }

  async reached(held: HeldRequest): Promise<void> {
    await this.until(() => held.isWaiting);
  }

  async rest(ms: number): Promise<void> {
    let isOver = false;
    this.#scheduler.after(ms, () => {
      isOver = true;
    });
    await this.until(() => isOver);
  }
}
