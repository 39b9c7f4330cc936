import type { Bucket } from '../simulator/bucket.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import { answerWithFault, LOST } from '../simulator/service-fault.ts';
import type { SimulatedProcess } from '../simulator/simulated-process.ts';
import type { Network, Request } from '../simulator/simulated-store.ts';

/**
 * How a request ends that was applied. `answered`: its process gets the answer. `lost`: its process
 * learns that the answer was lost. `crashed`: its process crashes before the answer, and nothing
 * else that it has sent arrives.
 */
export type Ending = 'answered' | 'lost' | 'crashed';

/** What a request touched: shows whether its order with another request makes a difference. */
export interface Footprint {
  /** Whether it changed anything: a refused `PUT` only reads. */
  readonly isWrite: boolean;
  /** Whether it created or deleted an object. */
  readonly changesNames: boolean;
  readonly isList: boolean;
  readonly keys: readonly string[];
  readonly process: string;
  /** Whether its process crashed: nothing else that it sent can come later. */
  readonly isCrash: boolean;
}

/** A request that waits for its turn. */
export interface Waiting {
  readonly process: SimulatedProcess;
  /** The same in every run that has made the same choices. */
  readonly id: string;
  /** Whether it may change something, so that its ending makes a difference. */
  readonly mayWrite: boolean;
  readonly proceed: (ending: Ending) => Footprint;
}

/** Requests wait until the exploration chooses one, which is then applied at once. */
export class ChosenNetwork implements Network {
  readonly #bucket: Bucket;
  readonly #build: ProtocolBuild;
  readonly #counts = new Map<string, number>();
  waiting: Waiting[] = [];

  constructor(bucket: Bucket, build: ProtocolBuild) {
    this.#bucket = bucket;
    this.#build = build;
  }

  send<Result>({ process, verb, keys, apply }: Request<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const base = `${process.name} ${verb} ${keys.join(' ')}`;
      const count = (this.#counts.get(base) ?? 0) + 1;
      this.#counts.set(base, count);
      const answer = (result: Result, ending: Ending) => {
        if (ending === 'crashed') this.#crash(process);
        else if (ending === 'answered') resolve(result);
        else answerWithFault(this.#build, verb, LOST, resolve, reject);
      };
      const proceed = (ending: Ending): Footprint => {
        const { version } = this.#bucket;
        const count = this.#bucket.objects.size;
        try {
          answer(apply(), ending);
        } catch (error) {
          // A violation ends the run; the process gets no answer.
          reject(error);
          throw error;
        }
        return {
          isWrite: this.#bucket.version !== version,
          changesNames: this.#bucket.objects.size !== count,
          isList: verb === 'LIST',
          keys,
          process: process.name,
          isCrash: ending === 'crashed',
        };
      };
      this.waiting.push({
        process,
        id: `${base} ${count}`,
        mayWrite: verb === 'PUT' || verb === 'DELETE',
        proceed,
      });
    });
  }

  #crash(process: SimulatedProcess): void {
    process.crash();
    this.waiting = this.waiting.filter((each) => each.process !== process);
  }
}

/** Whether the order of two requests makes no difference. */
export function commute(a: Footprint, b: Footprint): boolean {
  if ((a.isCrash || b.isCrash) && a.process === b.process) return false;
  if (!a.isWrite && !b.isWrite) return true;
  return !a.keys.some((key) => b.keys.some((other) => touches(key, a, other, b)));
}

function touches(key: string, a: Footprint, other: string, b: Footprint): boolean {
  if (a.isList) return other.startsWith(key) && seesChange(key, b);
  if (b.isList) return key.startsWith(other) && seesChange(other, a);
  return key === other;
}

/** Of a listing of segments the protocol uses only the names. */
function seesChange(prefix: string, { changesNames }: Footprint): boolean {
  return changesNames || prefix !== 'segments/';
}
