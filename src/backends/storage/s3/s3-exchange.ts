import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import { SLOWEST_BYTES_PER_SECOND } from '../call.ts';
import type { RequestOptions } from '../object-store.ts';
import { ServiceFault } from '../service-fault.ts';

/**
 * One exchange of request and answer under a deadline that also covers the body of the answer,
 * which the client itself does not watch.
 */
export class S3Exchange {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: number;
  readonly #onAbort: () => void;
  #timer: NodeJS.Timeout;

  /**
   * @param bytes of the request's body.
   * @throws `ABORTED` when the signal has fired already.
   */
  constructor(
    timeoutMs: number,
    bytes: number,
    { signal, deadline = Number.POSITIVE_INFINITY }: RequestOptions,
  ) {
    throwIfAborted(signal);
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#deadline = deadline;
    this.#timer = this.#startTimer(bytes);
    this.#onAbort = () => {
      this.#controller.abort(
        new VarveError('ABORTED', 'the operation was aborted by its caller', {
          cause: signal?.reason,
        }),
      );
    };
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Rejects as soon as the exchange is aborted or too late, whether or not the client does. */
  async send<Output>(request: (signal: AbortSignal) => Promise<Output>): Promise<Output> {
    return this.#unlessEnded(request(this.#controller.signal));
  }

  /**
   * The body of an answer, whole, into `target`.
   *
   * @throws `ServiceFault` when it ends early, is longer, or does not match its checksum
   *   (`ChecksumMismatch`).
   */
  async readBody(body: Readable, target: Buffer): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = this.#startTimer(target.length);
    // Whatever the deadline: a body that stops arriving is no answer.
    const isStalled = () => this.#giveUp(`no byte for ${this.#timeoutMs} ms`);
    let idle = setTimeout(isStalled, this.#timeoutMs);
    // An error after the body was refused half-way would be unhandled.
    body.on('error', () => {});
    const fault = () => this.#controller.signal.reason;
    const stop = () => body.destroy();
    this.#controller.signal.addEventListener('abort', stop, { once: true });
    let position = 0;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        if (position + chunk.length > target.length)
          throw new ServiceFault('', { name: 'BodyTooLong' });
        target.set(chunk, position);
        position += chunk.length;
        clearTimeout(idle);
        idle = setTimeout(isStalled, this.#timeoutMs);
      }
    } catch (error) {
      if (this.#controller.signal.aborted) throw fault();
      if (error instanceof Error && error.message.startsWith('Checksum mismatch')) {
        throw new ServiceFault('', { name: 'ChecksumMismatch' });
      }
      throw error;
    } finally {
      clearTimeout(idle);
      this.#controller.signal.removeEventListener('abort', stop);
    }
    if (this.#controller.signal.aborted) throw fault();
    if (position < target.length) {
      throw new ServiceFault(`the answer ended after ${position} of ${target.length} bytes`, {
        name: 'BodyTooShort',
      });
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #startTimer(bytes: number): NodeJS.Timeout {
    const own = this.#timeoutMs + (bytes / SLOWEST_BYTES_PER_SECOND) * 1000;
    const ms = Math.max(0, Math.min(own, this.#deadline - performance.now()));
    return setTimeout(() => this.#giveUp(`no answer within ${Math.round(ms)} ms`), ms);
  }

  #giveUp(message: string): void {
    this.#controller.abort(new ServiceFault(message, { name: 'RequestTimedOut' }));
  }

  #unlessEnded<Output>(promise: Promise<Output>): Promise<Output> {
    const { signal } = this.#controller;
    return new Promise((resolve, reject) => {
      const onEnd = () => reject(signal.reason);
      signal.addEventListener('abort', onEnd, { once: true });
      promise
        .then(resolve, (error) => reject(signal.aborted ? signal.reason : error))
        .finally(() => {
          signal.removeEventListener('abort', onEnd);
        });
    });
  }
}

/** What an answer says of the service. */
export interface AnswerSource {
  /** When it answered, in ms since the epoch; the local time where it did not say. */
  readonly serverTime: number;
  /** Origin of the endpoint, and what the service calls itself. */
  readonly server: string;
}

interface HttpExchange {
  readonly request: {
    readonly protocol?: string;
    readonly hostname?: string;
    readonly port?: number;
  };
  readonly response: { readonly headers?: Readonly<Record<string, string>> } | undefined;
}

/** Adds to answers who gave them, and when: the client's outputs do not have those headers. */
export class AnswerSources {
  readonly #sources = new WeakMap<object, AnswerSource>();

  constructor(client: S3Client) {
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const { request } = args;
        const { output, response } = result;
        if (output !== undefined)
          this.#sources.set(output, sourceOf({ request, response } as HttpExchange));
        return result;
      },
      { step: 'deserialize', priority: 'high', name: 'varveAnswerSources' },
    );
  }

  of(output: object): AnswerSource {
    return this.#sources.get(output) ?? { serverTime: Date.now(), server: '' };
  }
}

function sourceOf({ request, response }: HttpExchange): AnswerSource {
  const { protocol = '', hostname = '', port = '' } = request;
  const { date = '', server = '' } = response?.headers ?? {};
  const time = Date.parse(date);
  return {
    serverTime: Number.isNaN(time) ? Date.now() : time,
    server: `${protocol}//${hostname}:${port} ${server}`,
  };
}
