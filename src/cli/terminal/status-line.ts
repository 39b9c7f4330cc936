import type { RetryEvent, StoreEvent } from '../../core/events.ts';
import type { Terminal } from './terminal.ts';

/** Opening a store says so after this long, in ms. */
const OPENING_AFTER_MS = 1000;

/** The line is drawn anew at most so often, in ms: hundreds of requests may be repeated at once. */
const DRAWN_EVERY_MS = 100;

/**
 * What a command waits for. On a terminal one line that is written over and goes when something
 * else is written; with `isVerbose` a line for each retry instead, wherever standard error goes.
 */
export class StatusLine {
  readonly #stream: Terminal['stderr'];
  readonly #isVerbose: boolean;
  readonly #isShown: boolean;
  readonly #onDraw: () => void;
  #opening: NodeJS.Timeout | undefined;
  #isDrawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** @param onDraw called before the line is drawn, so that what else is there can go. */
  constructor(
    {
      isQuiet,
      isVerbose,
      isJson,
    }: { readonly isQuiet: boolean; readonly isVerbose: boolean; readonly isJson: boolean },
    onDraw: () => void,
    stream: Terminal['stderr'],
  ) {
    this.#stream = stream;
    this.#isVerbose = isVerbose;
    this.#isShown = stream.isTTY === true && !isQuiet && !isVerbose && !isJson;
    this.#onDraw = onDraw;
  }

  /** @param location of the store, for the time before it is open. */
  see(event: StoreEvent, location: string): void {
    if (event.type === 'retry') {
      if (this.#isVerbose) this.#stream.write(`varve: ${retryText(event)} (${event.what})\n`);
      else this.#draw(retryText(event));
    } else if (event.type === 'start' && event.work === 'open') {
      if (!this.#isShown) return;
      this.#opening = setTimeout(() => this.#draw(`opening ${location}`), OPENING_AFTER_MS).unref();
    } else if (event.type === 'done' || event.type === 'failed') this.clear();
  }

  /** Something else is about to be written. */
  clear(): void {
    clearTimeout(this.#opening);
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    this.#stream.write('\r\x1b[2K');
  }

  #draw(text: string): void {
    const now = performance.now();
    if (!this.#isShown || (this.#isDrawn && now - this.#drawnAt < DRAWN_EVERY_MS)) return;
    clearTimeout(this.#opening);
    if (!this.#isDrawn) this.#onDraw();
    this.#isDrawn = true;
    this.#drawnAt = now;
    this.#stream.write(`\r\x1b[2Kvarve: ${text}`);
  }
}

/** `retrying, SlowDown, attempt 4, gives up in 40 s`. */
function retryText({ reason, attempt, givesUpInMs }: RetryEvent): string {
  return `retrying, ${reason}, attempt ${attempt}, gives up in ${Math.ceil(givesUpInMs / 1000)} s`;
}
