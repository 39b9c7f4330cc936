import { StoreDecorator } from '../../src/backends/storage/decorators/store-decorator.ts';
import type { ObjectStore, RequestOptions } from '../../src/backends/storage/object-store.ts';

/**
 * A process's way to the objects, which ends with the process, after so many requests: whoever asks
 * then waits for ever.
 */
export class MortalStore extends StoreDecorator {
  /** Resolves when the process dies. */
  readonly death: Promise<void>;
  #left: number;
  #die: () => void = () => {};

  constructor(objects: ObjectStore, requests: number) {
    super(objects);
    this.#left = requests;
    this.death = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  protected override around<Result>(
    _: unknown,
    options: RequestOptions | undefined,
    send: (bounds: RequestOptions | undefined) => Promise<Result>,
  ): Promise<Result> {
    if (this.#left-- > 0) return send(options);
    this.#die();
    return new Promise(() => {});
  }

  override async close(): Promise<void> {}
}
