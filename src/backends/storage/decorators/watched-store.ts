import type { Call } from '../call.ts';
import type {
  ObjectHead,
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';
import { type ServiceWatch, VERSIONING_ADVICE } from '../service-watch.ts';
import { type PassingRequest, StoreDecorator } from './store-decorator.ts';

/** Writes only as long as the service keeps its promises. Reads go on. */
export class WatchedStore extends StoreDecorator {
  readonly #call: Call;
  readonly #watch: ServiceWatch;

  constructor(inner: ObjectStore, call: Call, watch: ServiceWatch) {
    super(inner);
    this.#call = call;
    this.#watch = watch;
  }

  override async get(key: string, options?: RequestOptions): Promise<StoredObject | undefined> {
    return this.#seen(await super.get(key, options));
  }

  override async head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined> {
    return this.#seen(await super.head(key, options));
  }

  override async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options?: RequestOptions,
  ): Promise<PutResult> {
    if (condition.kind !== 'any') {
      await this.#watch.assure(this.inner, (others) =>
        this.#call.wait(others, 'trying the service'),
      );
    }
    const result = await super.put(key, body, condition, options);
    if (result.outcome !== 'stored') return result;
    this.#watch.answered(result.servedBy);
    if (!result.keepsVersions) return result;
    // Such a bucket may lose this write, or has lost another's.
    const error = this.#watch.fail(
      `the bucket of ${this.location} keeps old versions by now: ${VERSIONING_ADVICE}`,
    );
    return { outcome: 'unknown', error };
  }

  protected override async around<Result>(
    { verb }: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    if (verb === 'put' || verb === 'delete') this.#watch.throwIfUnfit();
    return send(options);
  }

  #seen<Head extends ObjectHead>(head: Head | undefined): Head | undefined {
    this.#watch.answered(head?.servedBy);
    return head;
  }
}
