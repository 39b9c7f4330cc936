import type { FaultDetails } from '../../../src/backends/storage/service-fault.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import type { Scheduler } from '../simulator/scheduler.ts';
import { answerWithFault, LOST } from '../simulator/service-fault.ts';
import type { Network, Request, Verb } from '../simulator/simulated-store.ts';

/** Which requests a script means. */
export interface RequestPattern {
  /** Name of the process. */
  readonly by: string;
  readonly verb: Verb;
  /** Matches one of the keys, or the prefix of a LIST. */
  readonly key: RegExp;
}

/** One way, in ms. */
const DELAY_MS = 1;

interface SentRequest {
  readonly apply: () => void;
  readonly answer: () => void;
  readonly answerWithFault: (fault: FaultDetails) => void;
}

/** A request that was sent and waits for the script. */
export class InterceptedRequest {
  #request: SentRequest | undefined;
  #isApplied = false;

  get isSent(): boolean {
    return this.#request !== undefined;
  }

  /** Applies it; its answer still waits. */
  apply(): void {
    if (this.#isApplied) return;
    this.#isApplied = true;
    this.#sent().apply();
  }

  /** Applies it if that has not been done, and answers it. */
  proceed(): void {
    this.apply();
    this.#sent().answer();
  }

  /**
   * Answers it with a fault; default: the answer is lost. It may have been applied, or may be
   * later.
   */
  fail(fault = LOST): void {
    this.#sent().answerWithFault(fault);
  }

  /** For the network: it was sent. */
  arrive(request: SentRequest): void {
    this.#request = request;
  }

  #sent() {
    if (this.#request === undefined) throw new TypeError('the request has not been sent');
    return this.#request;
  }
}

/** Answers requests in the order they are sent, except those that the script names. */
export class ScriptedNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #build: ProtocolBuild;
  readonly #intercepted: {
    readonly pattern: RequestPattern;
    readonly request: InterceptedRequest;
  }[] = [];
  readonly #dropped: RequestPattern[] = [];
  /** By process: the number of the request at which it crashes. */
  readonly #crashes = new Map<string, number>();

  constructor(scheduler: Scheduler, build: ProtocolBuild) {
    this.#scheduler = scheduler;
    this.#build = build;
  }

  intercept(pattern: RequestPattern): InterceptedRequest {
    const request = new InterceptedRequest();
    this.#intercepted.push({ pattern, request });
    return request;
  }

  drop(pattern: RequestPattern): void {
    this.#dropped.push(pattern);
  }

  crash(process: string, request: number): void {
    this.#crashes.set(process, request);
  }

  send<Result>(request: Request<Result>): Promise<Result> {
    const { process, verb } = request;
    return new Promise((resolve, reject) => {
      if (process.isCrashed) return;
      const number = ++process.requests;
      let result: Result;
      const apply = () => {
        result = request.apply();
      };
      const answer = () => process.deliver(DELAY_MS, () => resolve(result));
      const fail = (fault: FaultDetails) =>
        process.deliver(DELAY_MS, () => answerWithFault(this.#build, verb, fault, resolve, reject));
      if (this.#crashes.get(process.name) === number) {
        process.crash();
        this.#scheduler.after(DELAY_MS, apply);
        return;
      }
      const at = this.#intercepted.findIndex(({ pattern }) => isMatch(pattern, request));
      if (at >= 0) {
        const [entry] = this.#intercepted.splice(at, 1);
        entry?.request.arrive({ apply, answer, answerWithFault: fail });
        return;
      }
      if (this.#dropped.some((pattern) => isMatch(pattern, request))) {
        fail(LOST);
        return;
      }
      this.#scheduler.after(DELAY_MS, () => {
        apply();
        answer();
      });
    });
  }
}

function isMatch(pattern: RequestPattern, { process, verb, keys }: Request<unknown>): boolean {
  const isVerb = pattern.by === process.name && pattern.verb === verb;
  return isVerb && keys.some((key) => pattern.key.test(key));
}
