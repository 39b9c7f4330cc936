import type { LimitFunction } from 'p-limit';
import { throwIfAborted } from '../../../core/abort.ts';
import type { ObjectStore, RequestOptions } from '../object-store.ts';
import { type PassingRequest, StoreDecorator } from './store-decorator.ts';

/** Makes requests wait for their turn, or until their signal fires. */
export class LimitedStore extends StoreDecorator {
  readonly #turns: LimitFunction;

  constructor(inner: ObjectStore, turns: LimitFunction) {
    super(inner);
    this.#turns = turns;
  }

  protected override async around<Result>(
    _: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    const signal = options?.signal;
    if (signal === undefined) return this.#turns(() => send(options));
    throwIfAborted(signal);
    let leave = (): void => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
    });
    signal.addEventListener('abort', leave, { once: true });
    const turn = this.#turns(() => {
      // From now on the request itself obeys the signal, and returns its outcome.
      signal.removeEventListener('abort', leave);
      throwIfAborted(signal);
      return send(options);
    });
    try {
      return await Promise.race([turn, left]);
    } catch (error) {
      // Nobody waits for this turn any more, and its error would be unhandled.
      turn.catch(() => {});
      if (error === signal.reason) throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }
}
