/**
 * Memory taken at once. Node's own pool has 8 KiB, so that every other skeleton would cost an
 * allocation.
 */
const SLAB_BYTES = 512 * 1024;

/** Hands out buffers that live about as long as each other from larger pieces of memory. */
export class Slab {
  #memory = Buffer.alloc(0);
  #used = 0;

  /** A buffer of uninitialised memory that nobody else has. */
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
