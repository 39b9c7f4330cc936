import type { Bucket } from './bucket.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import { hear, LOST } from './service-answer.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Network, Request } from './simulated-store.ts';

/**
 * What becomes of a request that happens. `answered`: its process hears of it. `lost`: its process
 * hears that nobody knows. `fatal`: its process dies before it hears of it, and what else it has
 * sent never arrives.
 */
export type Fate = 'answered' | 'lost' | 'fatal';

/**
 * What a request touched, by which it is known whether it might as well have happened before
 * another.
 */
export interface Footprint {
  /** Whether it changed anything: a `PUT` that is refused has only looked. */
  readonly isWrite: boolean;
  /** Whether it made an object or removed one. */
  readonly changesNames: boolean;
  readonly isList: boolean;
  readonly keys: readonly string[];
  readonly process: string;
  /** Whether its process died of it, and nothing of what that had sent can come after it. */
  readonly isFatal: boolean;
}

/** A request that waits for its turn. */
export interface Waiting {
  readonly process: SimulatedProcess;
  /** The same in every run that began the same way. */
  readonly id: string;
  /** Whether it may have an effect, so that its fate makes a difference. */
  readonly mayWrite: boolean;
  readonly proceed: (fate: Fate) => Footprint;
}

/** Requests wait until somebody chooses one; then it happens at once. */
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
      const answer = (result: Result, fate: Fate) => {
        if (fate === 'fatal') this.#kill(process);
        else if (fate === 'answered') resolve(result);
        else hear(this.#build, verb, LOST, resolve, reject);
      };
      const proceed = (fate: Fate): Footprint => {
        const { version } = this.#bucket;
        const count = this.#bucket.objects.size;
        try {
          answer(apply(), fate);
        } catch (error) {
          // What the bucket's watch finds ends the run; the process never hears of it.
          reject(error);
          throw error;
        }
        return {
          isWrite: this.#bucket.version !== version,
          changesNames: this.#bucket.objects.size !== count,
          isList: verb === 'LIST',
          keys,
          process: process.name,
          isFatal: fate === 'fatal',
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

  #kill(process: SimulatedProcess): void {
    process.crash();
    this.waiting = this.waiting.filter((each) => each.process !== process);
  }
}

/** Whether the order of two requests makes no difference to anybody. */
export function commute(a: Footprint, b: Footprint): boolean {
  if ((a.isFatal || b.isFatal) && a.process === b.process) return false;
  if (!a.isWrite && !b.isWrite) return true;
  return !a.keys.some((key) => b.keys.some((other) => touches(key, a, other, b)));
}

function touches(key: string, a: Footprint, other: string, b: Footprint): boolean {
  if (a.isList) return other.startsWith(key) && seesChange(key, b);
  if (b.isList) return key.startsWith(other) && seesChange(other, a);
  return key === other;
}

/** Of a listing of segments the protocol uses the names only. */
function seesChange(prefix: string, { changesNames }: Footprint): boolean {
  return changesNames || prefix !== 'segments/';
}
