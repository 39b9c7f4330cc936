import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from './abort.ts';
import { type Address, addressOf } from './address.ts';
import { name } from './name.ts';

/**
 * Long work in pieces: it yields after every {@link STEP_BYTES} or so, and returns its result. So
 * that whoever runs it decides whether other work gets a turn in between.
 */
export type Steps<Result> = Generator<void, Result, void>;

/**
 * Bytes worked on between two yields. The slowest work takes some 20 ns a byte, so a step takes at
 * most 10 ms.
 */
export const STEP_BYTES = 512 * 1024;

/** Does all the work at once. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * Does the work with a turn for others after each step. Work of a single step is done when the call
 * returns: its result comes without a promise.
 *
 * @throws what the work throws, at once or by the promise; `ABORTED` between two steps.
 */
export function inTurns<Result>(
  steps: Steps<Result>,
  signal?: AbortSignal,
): Result | Promise<Result> {
  const first = steps.next();
  return first.done ? first.value : others(steps, signal);
}

async function others<Result>(
  steps: Steps<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  for (;;) {
    await nextTurn();
    throwIfAborted(signal);
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Counts the work of many small pieces, to yield after every {@link STEP_BYTES} of it. */
export class StepMeter {
  #bytes = 0;

  /** Returns whether it is time to yield. */
  add(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes < STEP_BYTES) return false;
    this.#bytes = 0;
    return true;
  }
}

/** The address of bytes; see `addressOf`. */
export function* addressing(bytes: Uint8Array): Steps<Address> {
  if (bytes.length <= STEP_BYTES) return addressOf(bytes);
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += STEP_BYTES) {
    hash.update(bytes.subarray(at, at + STEP_BYTES));
    yield;
  }
  return name(hash.digest('hex') as Address);
}

/** Joins pieces into one buffer; returns the piece itself when there is only one. */
export function* joining(pieces: readonly Uint8Array[]): Steps<Buffer> {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1)
    return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  if (total <= STEP_BYTES) return Buffer.concat(pieces);
  const joined = Buffer.allocUnsafeSlow(total);
  const meter = new StepMeter();
  let end = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += STEP_BYTES) {
      const part = piece.subarray(at, at + STEP_BYTES);
      joined.set(part, end);
      end += part.length;
      if (meter.add(part.length)) yield;
    }
  }
  return joined;
}

/** The end of the slice of UTF-8 text that begins at `start`: cut between two characters. */
export function textStep(text: Uint8Array, start: number, bytes = STEP_BYTES): number {
  let end = start + bytes;
  if (end >= text.length) return text.length;
  // A character has at most three bytes after its first.
  for (let back = 0; back < 3 && ((text[end] as number) & 0xc0) === 0x80; back++) end--;
  return end;
}
