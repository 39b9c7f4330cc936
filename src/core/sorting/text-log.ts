import { hash } from 'node:crypto';
import { appendFileSync, closeSync, openSync, readSync } from 'node:fs';
import { VarveError } from '../errors.ts';
import type { Randomness } from '../system/clock.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

const LENGTH_BYTES = 4;
const DIGEST_BYTES = 8;
const HEADER_BYTES = LENGTH_BYTES + DIGEST_BYTES;

/** Texts by their position: in memory, until they are moved to a file. */
export class TextLog {
  readonly #folder: TemporaryFolder;
  readonly #name: string;
  /** Texts in memory with their positions, which ascend. */
  #positions: number[] = [];
  #texts: string[] = [];
  #end = 0;
  #stored = 0;

  constructor(folder: TemporaryFolder, randomness: Pick<Randomness, 'nonce'>) {
    this.#folder = folder;
    this.#name = randomness.nonce();
  }

  /** Returns its position. */
  add(text: string): number {
    const position = this.#end;
    this.#positions.push(position);
    this.#texts.push(text);
    this.#end += HEADER_BYTES + Buffer.byteLength(text);
    return position;
  }

  /** @throws `IO` when the file is damaged. */
  at(position: number): string {
    return position >= this.#stored ? this.#inMemory(position) : this.#inFile(position);
  }

  /** Moves all texts from memory to the file. */
  store(): void {
    if (this.#texts.length === 0) return;
    const file = this.#folder.file(this.#name);
    const bytes = Buffer.concat(
      this.#texts.map((text, at) => this.#encode(text, this.#positions[at] as number)),
    );
    this.#folder.assertRoomFor(bytes.length);
    this.#folder.use(() => appendFileSync(file, bytes, { mode: 0o600 }));
    this.#positions = [];
    this.#texts = [];
    this.#stored = this.#end;
  }

  #inMemory(position: number): string {
    let low = 0;
    let high = this.#positions.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#positions[middle] as number) < position) low = middle + 1;
      else high = middle;
    }
    return this.#texts[low] as string;
  }

  #inFile(position: number): string {
    const file = this.#folder.file(this.#name);
    const text = this.#folder.use(() => readText(file, position));
    const encoded = text === undefined ? undefined : this.#encode(text.text, position);
    if (text === undefined || encoded?.equals(text.stored) !== true) {
      throw new VarveError('IO', `the temporary file ${file} is damaged`);
    }
    return text.text;
  }

  #encode(text: string, position: number): Buffer {
    const payload = Buffer.from(text);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(payload.length);
    const digest = hash('sha256', `${this.#name} ${position}\n${text}`, 'buffer') as Buffer;
    digest.copy(header, LENGTH_BYTES, 0, DIGEST_BYTES);
    return Buffer.concat([header, payload]);
  }
}

/** `undefined` when the file ends before the text does. */
function readText(file: string, position: number): { text: string; stored: Buffer } | undefined {
  const descriptor = openSync(file, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(descriptor, header, 0, HEADER_BYTES, position) < HEADER_BYTES) return undefined;
    // A damaged length must not take all memory.
    const stored = Buffer.alloc(HEADER_BYTES + Math.min(header.readUInt32LE(), 65_536));
    if (readSync(descriptor, stored, 0, stored.length, position) < stored.length) return undefined;
    return { text: stored.toString('utf8', HEADER_BYTES), stored };
  } finally {
    closeSync(descriptor);
  }
}
