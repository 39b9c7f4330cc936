import { VarveError } from '../../core/errors.ts';
import type { ObjectStore } from './object-store.ts';

/** What a bucket that keeps old versions does, and what helps. */
export const VERSIONING_ADVICE =
  'nothing deleted would ever free space, and on some services concurrent writes get lost; use ' +
  'another bucket, suspend versioning, or say allowVersioned=true and expire noncurrent ' +
  'versions by a lifecycle rule';

/** How long one trial of a service is relied on while a store is open, in ms. */
const TRUSTED_MS = 24 * 60 * 60 * 1000;

/** A service does not keep its promises: whatever it says of a write proves nothing. */
export class UnfitService extends VarveError {
  constructor(fault: string) {
    super('INVALID_ARGUMENT', fault);
  }
}

/** Ways to try a service. They throw `UnfitService`, or what keeps them from finding out. */
export interface ServiceTrials {
  /** One request, of a service that was probed lately. */
  recheck(store: ObjectStore): Promise<void>;
  /** Everything that the protocol rests on. */
  probe(store: ObjectStore): Promise<void>;
}

/**
 * Whether a service keeps its promises, as an open store has seen it. A probe is remembered for
 * days, and a service may change meanwhile. So each process tries it before its first conditional
 * write, and stops to write for good at the first sign that it is unfit.
 */
export class ServiceWatch {
  readonly #trials: ServiceTrials;
  readonly #monotonic: () => number;
  /** Who was probed. Several machines may answer for one endpoint. */
  readonly #probed: Set<string>;
  /** Who answered last. */
  #answered: string;
  /** When it was last tried in this process. */
  #triedAt: number | undefined;
  #trial: Promise<void> | undefined;
  #fault: UnfitService | undefined;

  /**
   * @param servedBy who was probed; see `ObjectHead.servedBy`.
   * @param isTried whether this process did that.
   */
  constructor(trials: ServiceTrials, monotonic: () => number, servedBy: string, isTried: boolean) {
    this.#trials = trials;
    this.#monotonic = monotonic;
    this.#probed = new Set([servedBy]);
    this.#answered = servedBy;
    this.#triedAt = isTried ? monotonic() : undefined;
  }

  /** Records who answered. */
  answered(servedBy: string | undefined): void {
    if (servedBy !== undefined) this.#answered = servedBy;
  }

  /** Records that the service is unfit. */
  fail(fault: string): UnfitService {
    this.#fault ??= new UnfitService(`${fault}; nothing more is written`);
    return this.#fault;
  }

  /** @throws `UnfitService` once the service has shown that it is. */
  throwIfUnfit(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /**
   * Returns once the service has been tried in this process.
   *
   * @param store for the requests of a trial.
   * @param wait for a trial of another call.
   * @throws `UnfitService`, and what keeps a trial from finding out.
   */
  async assure(
    store: ObjectStore,
    wait: (others: Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      this.throwIfUnfit();
      if (!this.#isDue()) return;
      const others = this.#trial;
      if (others === undefined) {
        this.#trial = this.#try(store).finally(() => {
          this.#trial = undefined;
        });
        await this.#trial;
      } else {
        // What ended another call need not end this one.
        await wait(others.catch(() => {}));
      }
    }
  }

  #isDue(): boolean {
    const isOld = this.#triedAt === undefined || this.#monotonic() - this.#triedAt >= TRUSTED_MS;
    return isOld || !this.#probed.has(this.#answered);
  }

  async #try(store: ObjectStore): Promise<void> {
    const servedBy = this.#answered;
    try {
      if (this.#probed.has(servedBy)) await this.#trials.recheck(store);
      else await this.#trials.probe(store);
    } catch (error) {
      if (error instanceof UnfitService) throw this.fail(error.message);
      throw error;
    }
    this.#probed.add(servedBy);
    this.#triedAt = this.#monotonic();
  }
}
