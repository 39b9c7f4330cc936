import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import type { HeadsState } from '../../../src/backends/object/heads/heads-memory.ts';
import type { Client, SignalSource } from '../simulator/client.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { Scheduler } from '../simulator/scheduler.ts';
import { Simulation } from '../simulator/simulation.ts';
import { SMALL_PAGES } from '../simulator/small-pages.ts';
import {
  type InterceptedRequest,
  type RequestPattern,
  ScriptedNetwork,
} from './scripted-network.ts';

const HEARTBEAT_TIMEOUT_MS = 1500;

/** For how long a change is tried, in ms. */
const TIMEOUT_MS = 15_000;

export const A: ManifestKey = { kind: 'conversation', id: 'a' };
export const B: ManifestKey = { kind: 'conversation', id: 'b' };

/** The script cannot go on as it is written: it proves nothing about the protocol. */
class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** A call that runs while the script goes on. */
export interface RunningCall {
  isDone: boolean;
  failure: unknown;
}

/**
 * A simulation whose requests arrive in the order of the script: for orders and faults that
 * schedules drawn from a seed hardly ever have.
 */
export class Script {
  readonly simulation: Simulation;
  readonly #scheduler = new Scheduler();
  readonly #network: ScriptedNetwork;

  /**
   * `isFaultless`: no process crashes and no request is late. `hasPages`: every append makes a
   * page. `heads`: what lists are read from.
   */
  constructor(
    build: ProtocolBuild,
    isFaultless = true,
    { hasPages = false, heads = 'none' as HeadsState } = {},
  ) {
    this.#network = new ScriptedNetwork(this.#scheduler, build);
    this.simulation = new Simulation(build, this.#scheduler, {
      seed: 1,
      isFaultless,
      wholeSeconds: false,
      heads,
      backend: {
        leaseMs: HEARTBEAT_TIMEOUT_MS,
        timeoutMs: TIMEOUT_MS,
        compressionLevel: 1,
        cacheBytes: 0,
        pageSizes: hasPages ? SMALL_PAGES : undefined,
      },
    });
  }

  /** Starts a process. */
  start(name: string, signalOfCall?: SignalSource): Client {
    return this.simulation.start(name, this.#network, { signalOfCall });
  }

  /** Makes the next request that matches wait for the script. */
  intercept(pattern: RequestPattern): InterceptedRequest {
    return this.#network.intercept(pattern);
  }

  /** From now on, requests that match never arrive. */
  drop(pattern: RequestPattern): void {
    this.#network.drop(pattern);
  }

  /**
   * Crashes a process when it sends its request of that number, counted from 1: the request
   * arrives, and nobody gets the answer.
   */
  crash(process: string, request: number): void {
    this.#network.crash(process, request);
  }

  begin(work: Promise<unknown>): RunningCall {
    const call: RunningCall = { isDone: false, failure: undefined };
    work.then(
      () => {
        call.isDone = true;
      },
      (error: unknown) => {
        call.isDone = true;
        call.failure = error;
      },
    );
    return call;
  }

  /** Waits until a call has ended. Throws what it throws. */
  async end(call: RunningCall): Promise<void> {
    await this.until(() => call.isDone);
    if (call.failure !== undefined) throw call.failure;
  }

  /** Waits until the work has ended. */
  async run<Result>(work: Promise<Result>): Promise<Result> {
    await this.end(this.begin(work));
    return work;
  }

  /** The same for work of a process that may crash. */
  async runOrCrash(work: Promise<unknown>): Promise<void> {
    const call = this.begin(work);
    await this.#scheduler.run(() => call.isDone);
    if (call.failure !== undefined) throw call.failure;
  }

  async until(isSo: () => boolean): Promise<void> {
    await this.#scheduler.run(isSo);
    if (!isSo()) throw new ScriptError('the script waits for something that never happens');
  }

  async untilSent(request: InterceptedRequest): Promise<void> {
    await this.until(() => request.isSent);
  }

  async sleep(ms: number): Promise<void> {
    let isOver = false;
    this.#scheduler.after(ms, () => {
      isOver = true;
    });
    await this.until(() => isOver);
  }
}
