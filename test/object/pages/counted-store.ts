import {
  type PassingRequest,
  StoreDecorator,
} from '../../../src/backends/storage/decorators/store-decorator.ts';
import type { ObjectStore, RequestOptions } from '../../../src/backends/storage/object-store.ts';

/** Counts the requests that reach a store, and the bytes that are sent to it. */
export class CountedStore extends StoreDecorator {
  readonly requests = { get: 0, put: 0, head: 0, list: 0, delete: 0 };
  bytesUp = 0;

  constructor(objects: ObjectStore) {
    super(objects);
  }

  protected override around<Result>(
    { verb, bytes }: PassingRequest,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    this.requests[verb]++;
    this.bytesUp += bytes;
    return send(options);
  }

  override async close(): Promise<void> {}
}
