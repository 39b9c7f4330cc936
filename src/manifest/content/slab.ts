/**
 * Bytes allocated at once. Node's own pool has 8 KiB, so that every other skeleton would need an
 * allocation.
 */
const SLAB_BYTES = 512 * 1024;

/** Allocates buffers of similar lifetime from larger pieces of memory. */
export class Slab {
  #memory = Buffer.alloc(0);
  #used = 0;

  /** Returns uninitialised memory that nobody else uses. */
  take(size: number): Buffer {
    if (size > SLAB_BYTES / 4) return Buffer.allocUnsafeSlow(size);
    if (this.#used + size > this.#memory.length) {
      this.#memory = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    this.#used += size;
    return this.#memory.subarray(this.#used - size, this.#used);
  }
}
