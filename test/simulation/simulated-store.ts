import type { AbortOptions } from '../../src/backends/manifests.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  StoredObject,
} from '../../src/backends/object/object-store.ts';
import type { Bucket } from './bucket.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export type Verb = 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'LIST';

/** A request on its way: what it is, and what it does at the server. */
export interface Request<Result> {
  readonly process: SimulatedProcess;
  readonly verb: Verb;
  /** Of a `LIST`: the prefix. */
  readonly keys: readonly string[];
  readonly condition?: PutCondition;
  readonly apply: () => Result;
}

/** What lies between processes and the server. */
export interface Network {
  send<Result>(request: Request<Result>): Promise<Result>;
}

/** A process's connection to the bucket. */
export class SimulatedStore implements ObjectStore {
  readonly location = 'simulation:';
  readonly #bucket: Bucket;
  readonly #network: Network;
  readonly #process: SimulatedProcess;

  constructor(bucket: Bucket, network: Network, process: SimulatedProcess) {
    this.#bucket = bucket;
    this.#network = network;
    this.#process = process;
  }

  async get(key: string, options?: AbortOptions): Promise<StoredObject | undefined> {
    options?.signal?.throwIfAborted();
    return this.#network.send({
      process: this.#process,
      verb: 'GET',
      keys: [key],
      apply: () => this.#bucket.get(key),
    });
  }

  async head(key: string, options?: AbortOptions): Promise<ObjectHead | undefined> {
    options?.signal?.throwIfAborted();
    return this.#network.send({
      process: this.#process,
      verb: 'HEAD',
      keys: [key],
      apply: () => this.#bucket.get(key),
    });
  }

  async put(key: string, body: Uint8Array, condition: PutCondition): Promise<PutResult> {
    const copy = new Uint8Array(body);
    return this.#network.send({
      process: this.#process,
      verb: 'PUT',
      keys: [key],
      condition,
      apply: () => this.#bucket.put(key, copy, condition, this.#process.name),
    });
  }

  async delete(keys: readonly string[], options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    return this.#network.send({
      process: this.#process,
      verb: 'DELETE',
      keys: [...keys],
      apply: () => this.#bucket.delete(keys, this.#process.name),
    });
  }

  async list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    options.signal?.throwIfAborted();
    return this.#network.send({
      process: this.#process,
      verb: 'LIST',
      keys: [prefix],
      apply: () => this.#bucket.list(prefix, options),
    });
  }

  async close(): Promise<void> {}
}
