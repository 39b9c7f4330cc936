/** Lets those who name the same key take turns, in the order in which they came. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /** Resolves, once all keys are the caller's alone, with what gives them back. */
  async lock(keys: readonly string[]): Promise<() => void> {
    let open = (): void => {};
    const mine = new Promise<void>((resolve) => {
      open = resolve;
    });
    // All places in the queues are taken at once, so that no two callers can wait for each other.
    const before = keys.map((key) => this.#tails.get(key));
    for (const key of keys) this.#tails.set(key, mine);
    await Promise.all(before);
    return () => {
      for (const key of keys) if (this.#tails.get(key) === mine) this.#tails.delete(key);
      open();
    };
  }
}
