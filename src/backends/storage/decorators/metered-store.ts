import type {
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';
import type { RequestMeter } from '../request-meter.ts';
import { type PassingRequest, StoreDecorator } from './store-decorator.ts';

/** Counts the requests to a store that sends one for each call. (A provider counts its own.) */
export class MeteredStore extends StoreDecorator {
  readonly #meter: RequestMeter;

  constructor(inner: ObjectStore, meter: RequestMeter) {
    super(inner);
    this.#meter = meter;
  }

  override async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    const object = await super.get(key, options);
    this.#meter.received(object?.body.length ?? 0);
    return object;
  }

  override async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    const result = await super.put(key, body, condition, options);
    if (result.outcome === 'refused') this.#meter.refused();
    if (result.outcome === 'unknown') this.#meter.failed();
    return result;
  }

  protected override async around<Result>(
    { verb, bytes }: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    this.#meter.sent(verb, bytes);
    try {
      return await send(options);
    } catch (error) {
      this.#meter.failed();
      throw error;
    }
  }
}
