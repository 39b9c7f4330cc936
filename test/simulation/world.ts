import type {
  ObjectBackend,
  ObjectBackendOptions,
} from '../../src/backends/object/object-backend.ts';
import { Bucket } from './bucket.ts';
import { BucketWatch, DAMAGER } from './bucket-watch.ts';
import { CommitHistory } from './commit-history.ts';
import { WriteRegister } from './operations.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { Scheduler } from './scheduler.ts';
import { EPOCH, SimulatedProcess } from './simulated-process.ts';
import { type Network, SimulatedStore } from './simulated-store.ts';

export interface WorldOptions {
  readonly seed: number;
  /** Whether nothing goes wrong, so that nobody may be fenced and nothing may leak. */
  readonly isKind: boolean;
  /** Whether the server tells whole seconds. */
  readonly wholeSeconds: boolean;
  readonly backend: ObjectBackendOptions;
}

/** A bucket, those who watch it, and processes that use it. */
export class World {
  readonly scheduler: Scheduler;
  readonly bucket: Bucket;
  readonly watch: BucketWatch;
  readonly register = new WriteRegister();
  readonly history: CommitHistory;
  readonly #build: ProtocolBuild;
  readonly #options: WorldOptions;
  readonly #processes = new Map<string, SimulatedProcess>();
  #streams = 1000;

  constructor(build: ProtocolBuild, scheduler: Scheduler, options: WorldOptions) {
    this.#build = build;
    this.#options = options;
    this.scheduler = scheduler;
    const step = options.wholeSeconds ? 1000 : 1;
    const serverTime = () => Math.floor((EPOCH + scheduler.now) / step) * step;
    this.bucket = new Bucket(serverTime, (key, object, actor) =>
      this.watch.observe(key, object, actor),
    );
    this.history = new CommitHistory(
      this.register,
      () => this.bucket,
      (actor) => this.#processes.get(actor)?.now() ?? Number.NEGATIVE_INFINITY,
    );
    this.watch = new BucketWatch((...change) => this.history.observe(...change), options.isKind);
  }

  start(
    name: string,
    network: Network,
    skewMs = 0,
  ): { process: SimulatedProcess; backend: ObjectBackend } {
    const process = new SimulatedProcess(
      name,
      this.scheduler,
      this.#options.seed,
      this.#streams++,
      skewMs,
    );
    this.#processes.set(name, process);
    const store = new SimulatedStore(this.bucket, network, process, this.#build);
    const components = { clock: process, randomness: process };
    return {
      process,
      backend: new this.#build.ObjectBackend(store, this.#options.backend, components),
    };
  }
  /** Puts other bytes in the place of a segment's data. */
  damage(dataKey: string): void {
    this.bucket.put(dataKey, Buffer.from('damage'), { kind: 'any' }, DAMAGER);
  }
}
