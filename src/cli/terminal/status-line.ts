import type { RetryEvent, StoreEvent } from '../../core/events.ts';
import type { Terminal } from './terminal.ts';

/** A message appears when opening a store takes longer than this, in ms. */
const OPENING_AFTER_MS = 1000;

/** Shortest time between redraws, in ms: hundreds of requests may be retried at once. */
const DRAWN_EVERY_MS = 100;

/**
 * Shows what a command waits for. On a terminal it is one line, overwritten and cleared before
 * other output; with `isVerbose` it is a line per retry, wherever standard error goes.
 */
export class StatusLine {
  readonly #stream: Terminal['stderr'];
  readonly #isVerbose: boolean;
  readonly #isShown: boolean;
  readonly #onDraw: () => void;
  #opening: NodeJS.Timeout | undefined;
  #isDrawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** @param onDraw called before the line is drawn, so that other output can be cleared. */
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

  /** @param location of the store, shown until it is open. */
  see(event: StoreEvent, location: string): void {
    if (event.type === 'retry') {
      if (this.#isVerbose) this.#stream.write(`varve: ${retryText(event)} (${event.what})\n`);
      else this.#draw(retryText(event));
    } else if (event.type === 'start' && event.work === 'open') {
      if (!this.#isShown) return;
      this.#opening = setTimeout(() => this.#draw(`opening ${location}`), OPENING_AFTER_MS).unref();
    } else if (event.type === 'done' || event.type === 'failed') this.clear();
  }

  /** Clears the line before other output. */
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

/** Such as `retrying, SlowDown, attempt 4, gives up in 40 s`. */
function retryText({ reason, attempt, givesUpInMs }: RetryEvent): string {
  return `retrying, ${reason}, attempt ${attempt}, gives up in ${Math.ceil(givesUpInMs / 1000)} s`;
}
