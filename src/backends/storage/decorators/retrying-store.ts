import { isVarveError } from '../../../core/errors.ts';
import type { ObjectStore, PutCondition, PutResult, RequestOptions } from '../object-store.ts';
import { isRetryable, type Retries } from './retries.ts';
import { type PassingRequest, StoreDecorator } from './store-decorator.ts';

/**
 * How often a body that does not match its checksum is asked for again: the network may have
 * damaged it, or the disk.
 */
const MAX_DAMAGED = 2;

/**
 * Repeats what failed for a reason that may pass: full jitter, a deadline, a budget that all
 * requests share, and as long a pause as the service asks for.
 */
export class RetryingStore extends StoreDecorator {
  readonly #retries: Retries;

  constructor(inner: ObjectStore, retries: Retries) {
    super(inner);
    this.#retries = retries;
  }

  /**
   * Repeats a put with the same body and condition, even when it may have happened already. The
   * answer stays true: once the outcome of a try was unknown, a later `refused` may be due to that
   * try's own success, and is returned as `unknown`. The caller then reads the object and compares.
   */
  override async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const tries = this.#retries.begin(`PUT ${key}`, options);
    let unknown: Extract<PutResult, { outcome: 'unknown' }> | undefined;
    for (;;) {
      let error: Error;
      try {
        const result = await this.inner.put(key, body, condition, tries.bounds);
        if (result.outcome !== 'unknown') {
          tries.succeeded();
          return result.outcome === 'refused' && unknown !== undefined ? unknown : result;
        }
        unknown = result;
        error = result.error;
        if (!isRetryable(error)) return unknown;
      } catch (thrown) {
        error = thrown as Error;
        if (!isRetryable(thrown)) {
          if (unknown !== undefined) return { outcome: 'unknown', error };
          throw thrown;
        }
      }
      try {
        await tries.pause(error);
      } catch (ending) {
        if (unknown !== undefined) return { outcome: 'unknown', error: ending as Error };
        throw ending;
      }
    }
  }

  protected override around<Result>(
    { verb, keys }: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions) => Promise<Result>,
  ): Promise<Result> {
    const what = keys.length === 1 ? keys[0] : `of ${keys.length} objects`;
    let damaged = 0;
    const mayPass = (error: unknown) => isVarveError(error, 'CORRUPT') && damaged++ < MAX_DAMAGED;
    return this.#retries.repeat(`${verb.toUpperCase()} ${what}`, options, send, mayPass);
  }
}
