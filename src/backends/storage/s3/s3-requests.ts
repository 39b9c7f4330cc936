import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { isVarveError } from '../../../core/errors.ts';
import { SystemClock } from '../../../core/system/system-clock.ts';
import { throwIfOver } from '../call.ts';
import type { RequestOptions } from '../object-store.ts';
import type { RequestMeter, RequestVerb } from '../request-meter.ts';
import type { ConnectedClient, S3Sdk } from './s3-client.ts';
import { AnswerSources, S3Exchange } from './s3-exchange.ts';
import { describeFailure, type S3Failure } from './s3-failure.ts';
import type { S3Location } from './s3-location.ts';

/** Tries of each request for a part of a large object, and the longest pause between them in ms. */
const PART_TRIES = 4;
const PART_PAUSE_MS = 200;

/** Deadlines are times of this clock. */
const CLOCK = new SystemClock();

/** Of every answer that is a success; see `ObjectHead`. */
interface AnsweredBy {
  readonly serverTime: number;
  readonly servedBy: string;
}

export type S3Answer<Value> =
  | ({ readonly isAnswered: true; readonly value: Value } & AnsweredBy)
  | ({ readonly isAnswered: false } & S3Failure);

export interface S3Question<Output extends object, Value> {
  readonly verb: RequestVerb;
  /** The permission it needs: `s3:GetObject`. */
  readonly action: string;
  /** As S3 sees it, prefix included; `undefined` for a request about the bucket. */
  readonly key?: string | undefined;
  /** Length of the request's body. Default: 0. */
  readonly bytes?: number;
  readonly bounds: RequestOptions;
  readonly send: (
    client: S3Client,
    sdk: S3Sdk,
    options: { abortSignal: AbortSignal },
  ) => Promise<Output>;
  /** Makes something of the output before the exchange ends: reads its body. */
  readonly use: (output: Output, exchange: S3Exchange) => Value | Promise<Value>;
}

/** Sends requests, each once. Says of those that fail whether they may have happened. */
export class S3Requests {
  readonly location: S3Location;
  readonly #connected: ConnectedClient;
  readonly #sources: AnswerSources;
  readonly #meter: RequestMeter;

  constructor(location: S3Location, connected: ConnectedClient, meter: RequestMeter) {
    this.location = location;
    this.#connected = connected;
    this.#sources = new AnswerSources(connected.client);
    this.#meter = meter;
  }

  get meter(): RequestMeter {
    return this.#meter;
  }

  /**
   * @throws `ABORTED` or `UNAVAILABLE` when the signal had fired, or the deadline passed, before
   * anything was sent.
   */
  async ask<Output extends object, Value>(
    question: S3Question<Output, Value>,
  ): Promise<S3Answer<Value>> {
    const answer = await this.#askOnce(question);
    // The client has taken the service's time from the answer: the next signature is in time.
    const isSkewed = !answer.isAnswered && isSkew(answer);
    return isSkewed ? this.#askOnce(question) : answer;
  }

  /**
   * As {@link ask}, for one of the many requests of a large object, which may be repeated blindly:
   * a few times and soon, so that one lost connection does not cost all of them. Longer outages are
   * for the layer above.
   */
  async askPart<Output extends object, Value>(
    question: S3Question<Output, Value>,
  ): Promise<S3Answer<Value>> {
    for (let tries = 1; ; tries++) {
      const answer = await this.ask(question);
      if (
        answer.isAnswered ||
        answer.error.code !== 'UNAVAILABLE' ||
        isJudged(answer) ||
        tries === PART_TRIES
      ) {
        return answer;
      }
      // The next request checks whether the call is over.
      await sleep(Math.random() * PART_PAUSE_MS);
      this.#meter.retried();
    }
  }

  /** As {@link ask}, for requests whose failure is always an error. */
  async get<Output extends object, Value>(question: S3Question<Output, Value>): Promise<Value> {
    const answer = await this.ask(question);
    if (!answer.isAnswered) throw answer.error;
    return answer.value;
  }

  close(): void {
    this.#connected.client.destroy();
  }

  #answeredBy(output: object): AnsweredBy {
    const { serverTime, server } = this.#sources.of(output);
    const { bucket, prefix, allowVersioned } = this.location;
    // All that the findings of a probe depend on.
    return { serverTime, servedBy: JSON.stringify([server, bucket, prefix, allowVersioned]) };
  }

  async #askOnce<Output extends object, Value>(
    question: S3Question<Output, Value>,
  ): Promise<S3Answer<Value>> {
    const { verb, action, key, bytes = 0, bounds, send, use } = question;
    throwIfOver(bounds, CLOCK);
    const { client, sdk, region } = this.#connected;
    const exchange = new S3Exchange(this.location.requestTimeoutMs, bytes, bounds);
    this.#meter.sent(verb, bytes);
    try {
      const output = await exchange.send((abortSignal) => send(client, sdk, { abortSignal }));
      return {
        isAnswered: true,
        value: await use(output, exchange),
        ...this.#answeredBy(output),
      };
    } catch (thrown) {
      const { bucket, endpoint } = this.location;
      const failure = describeFailure(thrown, { action, bucket, key, endpoint, region });
      if (failure.effect === 'refused' && verb === 'put') this.#meter.refused();
      else if (failure.effect !== 'missing' && !isVarveError(thrown, 'ABORTED'))
        this.#meter.failed();
      return { isAnswered: false, ...failure };
    } finally {
      exchange.end();
    }
  }
}

/** What results of requests have of it. */
export function sourceOf({ serverTime, servedBy }: AnsweredBy): AnsweredBy {
  return { serverTime, servedBy };
}

/** Whether the service has looked at the request and said no. */
function isJudged({ effect }: S3Failure): boolean {
  return effect === 'refused' || effect === 'missing';
}

function isSkew({ effect, error }: S3Failure): boolean {
  const name = error.cause instanceof Error ? error.cause.name : '';
  return effect === 'not-done' && (name === 'RequestTimeTooSkewed' || name === 'RequestExpired');
}
