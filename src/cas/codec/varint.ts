import { VarveError } from '../../core/errors.ts';

/**
 * Unsigned LEB128 integers up to 2^53-1 (the DWARF standard, section 7.6) and byte strings, written
 * to and read from growing buffers. All of Varve's binary formats are made of these.
 */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialCapacity = 256) {
    this.#buffer = Buffer.allocUnsafe(initialCapacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Appends a safe non-negative integer in 1 to 8 bytes. */
  varint(value: number): void {
    this.#reserve(8);
    const buffer = this.#buffer;
    let at = this.#length;
    let rest = value;
    while (rest > 0x7fffffff) {
      buffer[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      buffer[at++] = (rest & 127) | 0x80;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    this.#length = at;
  }

  /**
   * Appends a safe integer of either sign, zigzag-coded (0, -1, 1, -2, …). Its magnitude must be
   * below 2^52.
   */
  signed(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends a length in bytes, then the bytes. */
  prefixed(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.bytes(bytes);
  }

  /** Appends a string as UTF-8 with its length in bytes before it. */
  text(value: string): void {
    const size = Buffer.byteLength(value);
    this.varint(size);
    this.#reserve(size);
    this.#length += this.#buffer.write(value, this.#length, 'utf8');
  }

  /** Appends bytes written as hex digits. */
  hex(digits: string): void {
    this.#reserve(digits.length / 2);
    this.#length += this.#buffer.write(digits, this.#length, 'hex');
  }

  /** What was written, as a view: valid until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** What was written, as a copy of its own. */
  finish(): Buffer {
    return Buffer.from(this.view());
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.view());
    this.#buffer = grown;
  }
}

/**
 * Reads what {@link ByteWriter} wrote. Every read past the end or out of range throws `CORRUPT`,
 * naming `what`.
 */
export class ByteReader {
  readonly #buffer: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#buffer.length - this.#at;
  }

  varint(): number {
    const buffer = this.#buffer;
    let at = this.#at;
    let value = 0;
    let scale = 1;
    for (let byte = 0x80; byte & 0x80; scale *= 128) {
      if (at >= buffer.length || scale > 2 ** 49) this.#fail();
      byte = buffer[at++] as number;
      value += (byte & 127) * scale;
    }
    if (value > Number.MAX_SAFE_INTEGER) this.#fail();
    this.#at = at;
    return value;
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** The next `length` bytes, as a view. */
  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#buffer.length) this.#fail();
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  prefixed(): Buffer {
    return this.bytes(this.varint());
  }

  text(): string {
    return this.prefixed().toString('utf8');
  }

  hex(byteLength: number): string {
    return this.bytes(byteLength).toString('hex');
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining > 0) this.#fail();
  }

  #fail(): never {
    throw new VarveError(
      'CORRUPT',
      `${this.#what}: damaged at byte ${this.#at} of ${this.#buffer.length}`,
    );
  }
}
