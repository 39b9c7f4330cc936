import type { HeadsState } from '../../../src/backends/object/heads/heads-memory.ts';
import type { ObjectBackendOptions } from '../../../src/backends/object/object-options.ts';
import { BucketChecker, DAMAGER } from '../checks/bucket-checker.ts';
import { CommitHistory } from '../checks/commit-history.ts';
import { HeadsChecker } from '../checks/heads-checker.ts';
import { TrackedWrites } from '../checks/tracked-writes.ts';
import { Bucket } from './bucket.ts';
import { Client, type SignalSource } from './client.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { Scheduler } from './scheduler.ts';
import { EPOCH, SimulatedProcess } from './simulated-process.ts';
import { type Network, SimulatedStore } from './simulated-store.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** No process crashes and no request is late: no attempt may be fenced, nothing may leak. */
  readonly isFaultless: boolean;
  /** Whether the server's times are whole seconds. */
  readonly wholeSeconds: boolean;
  readonly backend: ObjectBackendOptions;
  /** What lists are read from. */
  readonly heads: HeadsState;
}

/** What a process starts with. */
export interface StartOptions {
  /** How wrong its clock is, in ms. Default: 0. */
  readonly skewMs?: number | undefined;
  /** Default: no call is aborted. */
  readonly signalOfCall?: SignalSource | undefined;
}

/** A bucket, the processes that use it, and the checks of what they do. */
export class Simulation {
  readonly scheduler: Scheduler;
  readonly bucket: Bucket;
  readonly checker: BucketChecker;
  readonly writes = new TrackedWrites();
  readonly history: CommitHistory;
  readonly #build: ProtocolBuild;
  readonly #options: SimulationOptions;
  readonly #processes = new Map<string, SimulatedProcess>();
  #streams = 1000;

  constructor(build: ProtocolBuild, scheduler: Scheduler, options: SimulationOptions) {
    this.#build = build;
    this.#options = options;
    this.scheduler = scheduler;
    const step = options.wholeSeconds ? 1000 : 1;
    const serverTime = () => Math.floor((EPOCH + scheduler.now) / step) * step;
    this.bucket = new Bucket(serverTime, (key, object, process) =>
      this.checker.observe(key, object, process),
    );
    this.history = new CommitHistory(
      this.writes,
      () => this.bucket,
      (process) => this.#processes.get(process)?.now() ?? Number.NEGATIVE_INFINITY,
    );
    this.checker = new BucketChecker(
      (...change) => this.history.observe(...change),
      options.isFaultless,
      options.heads === 'ready' ? new HeadsChecker() : undefined,
    );
  }

  /** Starts a process that opens the store. Returns its client. */
  start(name: string, network: Network, { skewMs = 0, signalOfCall }: StartOptions = {}): Client {
    const process = new SimulatedProcess(
      name,
      this.scheduler,
      this.#options.seed,
      this.#streams++,
      skewMs,
    );
    this.#processes.set(name, process);
    const store = new SimulatedStore(this.bucket, network, process, this.#build);
    const components = { clock: process, randomness: process, heads: this.#options.heads };
    const backend = new this.#build.ObjectBackend(store, this.#options.backend, components);
    return new Client(this, process, backend, signalOfCall);
  }

  /** Replaces a segment's data by other bytes. */
  damage(dataKey: string): void {
    this.bucket.put(dataKey, Buffer.from('damage'), { kind: 'any' }, DAMAGER);
  }
}
