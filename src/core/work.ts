import { isVarveError, VarveError } from './errors.ts';
import type { OnEvent, ProgressEvent, WorkName } from './events.ts';

/** How far a part of the work has come. */
export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

let runs = 0;

/** One piece of long work, which reports events while it runs. */
export class Work {
  readonly #work: WorkName;
  readonly #run = ++runs;
  readonly #onEvent: OnEvent | undefined;
  readonly #began = performance.now();

  constructor(work: WorkName, onEvent: OnEvent | undefined) {
    this.#work = work;
    this.#onEvent = onEvent;
  }

  /**
   * Runs the work and reports its start, its result and its failure. @param resultOf the result to
   * report.
   */
  async run<Result extends object>(
    work: () => Promise<Result>,
    resultOf: (result: Result) => object = (result) => result,
  ): Promise<Result> {
    this.#start();
    try {
      const result = await work();
      this.#done(resultOf(result));
      return result;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /**
   * Runs work that yields items. When its reader leaves early, the work counts as aborted.
   *
   * @param report reports an item. Default: an `item` event each.
   */
  async *each<Item, Result>(
    work: AsyncGenerator<Item, Result, undefined>,
    resultOf: (result: Result) => object = (result) => result as object,
    report: (item: Item) => void = (item) => this.item(item as object),
  ): AsyncGenerator<Item, Result, undefined> {
    this.#start();
    let isOver = false;
    try {
      for (;;) {
        const step = await work.next();
        if (step.done) {
          isOver = true;
          this.#done(resultOf(step.value));
          return step.value;
        }
        report(step.value);
        yield step.value;
      }
    } catch (error) {
      isOver = true;
      throw this.#failed(error);
    } finally {
      await work.return(undefined as never);
      if (!isOver) this.#failed(new VarveError('ABORTED', 'its reader left before the end'));
    }
  }

  /** Reports progress, and returns the event for whoever else asked for it. */
  progress<More extends object>(
    { phase, done, total }: Progress,
    more: More,
  ): ProgressEvent & More {
    const event = { ...more, type: 'progress' as const, ...this.#name, phase, done, total };
    this.#onEvent?.(event);
    return event;
  }

  /**
   * Options that report the progress of an inner call as that of this work; a caller's callback
   * gets the event, too.
   */
  watching<Options extends { readonly onProgress?: ((progress: Progress) => void) | undefined }>(
    options: Options,
  ): Options {
    if (this.#onEvent === undefined && options.onProgress === undefined) return options;
    return {
      ...options,
      onProgress: (progress: Progress) => options.onProgress?.(this.progress(progress, {})),
    };
  }

  item(item: object): void {
    this.#onEvent?.({ type: 'item', ...this.#name, item });
  }

  get #name() {
    return { work: this.#work, run: this.#run };
  }

  #start(): void {
    this.#onEvent?.({ type: 'start', ...this.#name });
  }

  #done(result: object): void {
    this.#onEvent?.({
      type: 'done',
      ...this.#name,
      durationMs: performance.now() - this.#began,
      result,
    });
  }

  #failed(error: unknown): unknown {
    const known = isVarveError(error)
      ? error
      : new VarveError('INTERNAL', String(error), { cause: error });
    this.#onEvent?.({
      type: 'failed',
      ...this.#name,
      durationMs: performance.now() - this.#began,
      error: known,
    });
    return error;
  }
}
