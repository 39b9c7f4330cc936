import { isVarveError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/system/clock.ts';
import { type Call, throwIfOver } from '../call.ts';
import type {
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';
import { type PassingRequest, StoreDecorator } from './store-decorator.ts';

/** Whether the service answered when it was last asked. Shared by all calls of an open store. */
export interface Link {
  isDown: boolean;
}

/** Bounds every request by the call that it is made for, unless it has bounds of its own. */
export class BoundedStore extends StoreDecorator {
  readonly #call: Call;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #link: Link;

  constructor(inner: ObjectStore, call: Call, clock: Pick<Clock, 'monotonic'>, link: Link) {
    super(inner);
    this.#call = call;
    this.#clock = clock;
    this.#link = link;
  }

  override async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    const object = await super.get(key, options);
    if (object !== undefined) this.#call.moved(object.body.length);
    return object;
  }

  override async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const result = await super.put(key, body, condition, options);
    if (result.outcome === 'stored') this.#call.moved(body.length);
    if (result.outcome === 'unknown') this.#link.isDown = true;
    return result;
  }

  protected override async around<Result>(
    _: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions) => Promise<Result>,
  ): Promise<Result> {
    const bounds = options?.deadline === undefined ? { ...this.#call.step(), ...options } : options;
    throwIfOver(bounds, this.#clock);
    try {
      const result = await send(bounds);
      this.#link.isDown = false;
      return result;
    } catch (error) {
      if (isVarveError(error, 'UNAVAILABLE') || isVarveError(error, 'THROTTLED'))
        this.#link.isDown = true;
      throw error;
    }
  }
}
