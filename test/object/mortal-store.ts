import { StoreDecorator } from '../../src/backends/storage/decorators/store-decorator.ts';
import type { ObjectStore, RequestOptions } from '../../src/backends/storage/object-store.ts';

/**
 * The connection of a process that dies after a number of requests: later ones wait for ever.
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
