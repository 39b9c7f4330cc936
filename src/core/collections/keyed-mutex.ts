/** Lets those who name the same key take turns, in the order in which they came. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Resolves, once all keys are the caller's alone, with what gives them back.
   *
   * @param wait waits for those who came before; when it gives up, so does this.
   */
  async lock(
    keys: readonly string[],
    wait: (before: Promise<unknown>) => Promise<void>,
  ): Promise<() => void> {
    let open = (): void => {};
    const mine = new Promise<void>((resolve) => {
      open = resolve;
    });
    // All places in the queues are taken at once, so that no two callers can wait for each other.
    const before = keys.flatMap((key) => this.#tails.get(key) ?? []);
    for (const key of keys) this.#tails.set(key, mine);
    const unlock = () => {
      for (const key of keys) if (this.#tails.get(key) === mine) this.#tails.delete(key);
      open();
    };
    if (before.length === 0) return unlock;
    const all = Promise.all(before);
    try {
      await wait(all);
    } catch (error) {
      // Those who come after wait for those before, not for this.
      void all.then(unlock);
      throw error;
    }
    return unlock;
  }
}
