import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../../../src/backends/storage/object-store.ts';
import type { Bucket } from './bucket.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export type Verb = 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'LIST';

/** A request on its way to the server. */
export interface Request<Result> {
  readonly process: SimulatedProcess;
  readonly verb: Verb;
  /** The keys; for a `LIST` the prefix. */
  readonly keys: readonly string[];
  readonly condition?: PutCondition;
  /** Does it at the server. */
  readonly apply: () => Result;
}

/**
 * Carries requests to the server, and answers back: when, in which order, and with which faults.
 */
export interface Network {
  send<Result>(request: Request<Result>): Promise<Result>;
}

/** A process's connection to the bucket. */
export class SimulatedStore implements ObjectStore {
  readonly location = 'simulation:';
  readonly #bucket: Bucket;
  readonly #network: Network;
  readonly #process: SimulatedProcess;
  readonly #build: ProtocolBuild;

  constructor(bucket: Bucket, network: Network, process: SimulatedProcess, build: ProtocolBuild) {
    this.#bucket = bucket;
    this.#network = network;
    this.#process = process;
    this.#build = build;
  }

  async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    return this.#send(options, thrown, {
      verb: 'GET',
      keys: [key],
      apply: () => this.#bucket.get(key),
    });
  }

  async head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.#send(options, thrown, {
      verb: 'HEAD',
      keys: [key],
      apply: () => this.#bucket.get(key),
    });
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const copy = new Uint8Array(body);
    return this.#send<PutResult>(options, (error) => ({ outcome: 'unknown', error }), {
      verb: 'PUT',
      keys: [key],
      condition,
      apply: () => this.#bucket.put(key, copy, condition, this.#process.name),
    });
  }

  async delete(keys: readonly string[], options?: RequestOptions): Promise<void> {
    return this.#send(options, thrown, {
      verb: 'DELETE',
      keys: [...keys],
      apply: () => this.#bucket.delete(keys, this.#process.name),
    });
  }

  async list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    return this.#send(options, thrown, {
      verb: 'LIST',
      keys: [prefix],
      apply: () => this.#bucket.list(prefix, options),
    });
  }

  async close(): Promise<void> {}

  /**
   * Sends a request, and waits until it is answered or the signal fires. After that the request may
   * still be applied.
   */
  #send<Result>(
    { signal }: RequestOptions = {},
    abandoned: (error: Error) => Result,
    request: Omit<Request<Result>, 'process'>,
  ): Promise<Result> {
    const aborted = () =>
      new this.#build.VarveError('ABORTED', 'simulated: the caller has aborted');
    if (signal?.aborted) return Promise.reject(aborted());
    const answer = this.#network.send({ process: this.#process, ...request });
    if (signal === undefined) return answer;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        try {
          resolve(abandoned(aborted()));
        } catch (error) {
          reject(error);
        }
      };
      signal.addEventListener('abort', onAbort, { once: true });
      answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }
}

function thrown(error: Error): never {
  throw error;
}
