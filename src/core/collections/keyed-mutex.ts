/** A mutex per key: callers that lock the same key take turns, in the order of their calls. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Resolves with the unlock function once the caller holds all keys.
   *
   * @param wait waits for the callers before; when it rejects, so does `lock`.
   */
  async lock(
    keys: readonly string[],
    wait: (before: Promise<unknown>) => Promise<void>,
  ): Promise<() => void> {
    let open = (): void => {};
    const mine = new Promise<void>((resolve) => {
      open = resolve;
    });
    // Joins all queues at once, so that no two callers can wait for each other.
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
      // Later callers wait for the earlier ones, even when this one gave up.
      void all.then(unlock);
      throw error;
    }
    return unlock;
  }
}
