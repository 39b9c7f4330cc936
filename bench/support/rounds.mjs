/**
 * Latency by a virtual clock: a request is answered only when the program can do nothing more
 * without an answer, and then all that wait are answered at once. So every round stands for one
 * latency, and their number is the depth of the requests: how many follow one another.
 */

/** What Node calls work that goes on off the main thread, and ends without an answer of ours. */
const BUSY = /^(FSReq|Zlib|ZLIB|RandomBytes|HashRequest|SignRequest|Worker|MessagePort)/i;

export class Rounds {
  /** Rounds so far. */
  depth = 0;
  /** Whether requests wait at all. */
  isOn = false;
  /** @type {(() => void)[]} */
  #waiting = [];
  #arrived = 0;
  #isChecking = false;

  /** Resolves when the request is answered. */
  wait() {
    if (!this.isOn) return Promise.resolve();
    this.#arrived++;
    return new Promise((/** @type {(value: void) => void} */ resolve) => {
      this.#waiting.push(() => resolve());
      if (this.#isChecking) return;
      this.#isChecking = true;
      this.#check(this.#arrived, 0);
    });
  }

  /**
   * @param {number} seen requests that had arrived by the last check
   * @param {number} quiet checks since then that saw nothing happen
   */
  #check(seen, quiet) {
    setTimeout(() => {
      setImmediate(() => {
        const isQuiet = this.#arrived === seen && !process.getActiveResourcesInfo().some(isBusy);
        if (!isQuiet) return this.#check(this.#arrived, 0);
        if (quiet < 1) return this.#check(seen, quiet + 1);
        this.#isChecking = false;
        this.depth++;
        for (const answer of this.#waiting.splice(0)) answer();
      });
    }, 0);
  }
}

/** @param {string} resource */
function isBusy(resource) {
  return BUSY.test(resource);
}
