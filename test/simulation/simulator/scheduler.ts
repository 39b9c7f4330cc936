/** Something that will happen at a time. */
interface Event {
  readonly time: number;
  readonly sequence: number;
  readonly happen: () => void;
}

/** More events than any schedule needs: a run that gets here does not end. */
const MAX_EVENTS = 30_000;

/**
 * Virtual time. The next event happens only when the code under test does nothing but wait: all its
 * microtasks have run. So a run depends only on what was scheduled.
 */
export class Scheduler {
  readonly #events: Event[] = [];
  #now = 0;
  #sequence = 0;
  #happened = 0;

  /** Milliseconds since the simulation began. */
  get now(): number {
    return this.#now;
  }

  /** Schedules an event. Returns a function that cancels it. */
  after(ms: number, happen: () => void): () => void {
    const event = { time: this.#now + ms, sequence: this.#sequence++, happen };
    let at = this.#events.length;
    while (at > 0 && isBefore(event, this.#events[at - 1] as Event)) at--;
    this.#events.splice(at, 0, event);
    return () => {
      const position = this.#events.indexOf(event);
      if (position >= 0) this.#events.splice(position, 1);
    };
  }

  /** Lets events happen until `isDone`, or until none is left. Throws what an event throws. */
  async run(isDone: () => boolean = () => false): Promise<void> {
    for (;;) {
      await settled();
      if (isDone()) return;
      const event = this.#events.shift();
      if (event === undefined) return;
      if (++this.#happened > MAX_EVENTS)
        throw new Error(`more than ${MAX_EVENTS} events: the run does not end`);
      this.#now = event.time;
      event.happen();
    }
  }

  /**
   * Lets events happen until the work has ended. Throws what it throws, or an error if it waits for
   * something that never happens.
   */
  async finish<Result>(work: Promise<Result>): Promise<Result> {
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    work.then(done, done);
    await this.run(() => isDone);
    if (!isDone) throw new Error('the work waits for something that never happens');
    return work;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}

/** Resolves when every microtask has run, including those that others begin. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
