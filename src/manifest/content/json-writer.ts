import { types } from 'node:util';
import { tokenSegmentBytes } from '../../cas/token-segment.ts';
import { asInvalid, invalid, shown } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import { finish, joining, StepMeter, type Steps } from '../../core/steps.ts';
import { printTokens } from './token-array.ts';

/** A JavaScript value as JSON text. */
export interface JsonText {
  readonly line: Buffer;
  /** Offsets of the brackets of arrays that were a `Uint32Array`, ascending. */
  readonly typedAt: readonly number[];
}

/** The longest text that `JSON.parse` can read: the longest string. */
const MAX_CHARACTERS = 2 ** 29 - 24;

/** Stops at an object whose getters create new objects without end. */
const MAX_DEPTH = 10_000;

/** Containers around a value that are compared one by one. */
const FEW_ANCESTORS = 16;

/** Keys that are written once and remembered. */
const REMEMBERED_KEYS = 1000;

/** Numbers that are written at once. */
const PIECE_NUMBERS = 4096;

/** Text is collected in a string of about this many characters before it is encoded. */
const PIECE_CHARACTERS = 64 * 1024;

/**
 * Writes a value as `JSON.stringify` does, except that a `Uint32Array` becomes an array of numbers
 * and −0 becomes `-0`. Reads every property once.
 *
 * @throws `INVALID_ARGUMENT`, naming the place, for what JSON would silently change or drop
 *   (numbers that are not finite, functions, symbols, symbol keys, holes and properties of arrays,
 *   other binary values, instances of classes without `toJSON`) or cannot write (bigints, cycles);
 *   `TOO_LARGE` when it is longer than the longest JavaScript string, or nested deeper than 10,000.
 */
export function jsonText(value: object): JsonText {
  return finish(writingJson(value));
}

/** {@link jsonText} in steps. The first one reads the value, however long it is. */
export function* writingJson(value: object): Steps<JsonText> {
  const pieces = written(value);
  const meter = new StepMeter();
  const encoded: Buffer[] = [];
  const typedAt: number[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    if (piece instanceof Uint32Array) typedAt.push(bytes);
    const parts = typeof piece === 'string' ? encoding(piece) : printing(piece);
    for (const part of parts) {
      encoded.push(part);
      bytes += part.length;
      if (meter.add(part.length)) yield;
    }
  }
  return { line: yield* joining(encoded), typedAt };
}

/** Text, encoded already where it is short, or token ids. */
type Piece = Buffer | string | Uint32Array;

function written(value: object): Piece[] {
  const writer = new JsonWriter();
  try {
    return writer.write(value);
  } catch (cause) {
    if (types.isNativeError(cause) && /^Invalid string length$/.test(cause.message))
      throw tooLong(cause);
    throw asInvalid(`${writer.place} cannot be read`, cause);
  }
}

/** Encodes a well-formed text, some of it at a time. */
function* encoding(text: string): Generator<Buffer, void, undefined> {
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PIECE_CHARACTERS, text.length);
    // Not between the halves of a surrogate pair.
    if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end++;
    yield Buffer.from(text.slice(start, end));
    start = end;
  }
}

function* printing(piece: Buffer | Uint32Array): Generator<Buffer, void, undefined> {
  if (Buffer.isBuffer(piece)) {
    yield piece;
    return;
  }
  for (let start = 0; start < piece.length || start === 0; start += PIECE_NUMBERS) {
    const ids = tokenSegmentBytes(piece.subarray(start, start + PIECE_NUMBERS));
    yield Buffer.from(start === 0 ? '[' : ',');
    yield printTokens(ids, false);
  }
  yield Buffer.from(']');
}

/** An array or object that is being written. */
interface Open {
  readonly container: object;
  /** `undefined` for an array. */
  readonly keys: readonly string[] | undefined;
  readonly count: number;
  /** Index of the next element. */
  next: number;
  isEmpty: boolean;
}

class JsonWriter {
  readonly #open: Open[] = [];
  /** What is open beyond {@link FEW_ANCESTORS}, so that a cycle is found quickly at any depth. */
  readonly #ancestors = new Set<object>();
  /** Keys as JSON writes them, with a colon. */
  readonly #keys = new Map<string, string>();
  readonly #pieces: Piece[] = [];
  #characters = 0;
  #text = '';

  write(root: object): Piece[] {
    const value = this.#prepared(root, '');
    if (
      typeof value !== 'object' ||
      value === null ||
      Array.isArray(value) ||
      types.isUint32Array(value)
    ) {
      throw invalid(`a conversation must be an object, not ${shown(root)}`);
    }
    this.#begin(value);
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      if (top.next === top.count) this.#end(top);
      else if (top.keys === undefined) this.#items(top);
      else this.#member(top, top.keys[top.next] as string);
      if (this.#text.length > PIECE_CHARACTERS) this.#flush();
    }
    this.#flush();
    return this.#pieces;
  }

  /** The writer's place, in JavaScript notation. */
  get place(): string {
    let path = '';
    for (const { keys, next } of this.#open) {
      const key = keys === undefined ? next : keys[next];
      if (key === undefined) continue;
      if (typeof key === 'number') path += `[${key}]`;
      else if (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key))
        path += path === '' ? key : `.${key}`;
      else path += `[${shown(key)}]`;
    }
    return path === '' ? 'the conversation' : path;
  }

  /** Writes the next items of an array: numbers as far as there are, then one other. */
  #items(top: Open): void {
    const array = top.container as unknown[];
    const first = top.next;
    const end = Math.min(top.count, first + PIECE_NUMBERS);
    const numbers: number[] = [];
    let given: unknown;
    for (let next = first; next < end; next++) {
      top.next = next;
      given = array[next];
      if (typeof given !== 'number' || !isPrinted(given)) break;
      numbers.push(given);
    }
    top.next = first + numbers.length;
    if (numbers.length > 0) this.#text += `${first > 0 ? ',' : ''}${listOf(numbers)}`;
    if (top.next === end) return;
    const value = this.#prepared(given, top.next);
    if (value === undefined) throw this.#refused('JSON would make null of undefined in an array');
    if (top.next > 0) this.#text += ',';
    this.#value(top, value);
  }

  #member(top: Open, key: string): void {
    const value = this.#prepared((top.container as Record<string, unknown>)[key], key);
    if (value === undefined) {
      top.next++;
      return;
    }
    this.#text += top.isEmpty ? this.#written(key) : `,${this.#written(key)}`;
    top.isEmpty = false;
    this.#value(top, value);
  }

  #written(key: string): string {
    let written = this.#keys.get(key);
    if (written === undefined) {
      written = `${JSON.stringify(key)}:`;
      if (this.#keys.size < REMEMBERED_KEYS) this.#keys.set(key, written);
    }
    return written;
  }

  #value(top: Open, value: unknown): void {
    if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'number') this.#text += Object.is(value, -0) ? '-0' : String(value);
    else if (typeof value !== 'object' || value === null) this.#text += String(value);
    else if (types.isUint32Array(value)) this.#tokens(value);
    else {
      this.#begin(value);
      return;
    }
    top.next++;
  }

  /** Returns the value, or what its `toJSON` returns; throws unless JSON can write it. */
  #prepared(given: unknown, key: string | number): unknown {
    let value = given;
    if (typeof value === 'object' && value !== null) {
      if (types.isUint32Array(value)) return value;
      // A Buffer has a toJSON, which would turn it into an object.
      if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) {
        throw this.#refused(
          'of binary values only Uint32Array (token ids) can be stored: use a base64 data URL',
        );
      }
      value = this.#converted(value, key);
      if (value === null && types.isDate(given))
        throw this.#refused('JSON would make null of an invalid date');
    } else if (typeof value === 'function' || typeof value === 'bigint')
      value = this.#converted(value, key);
    switch (typeof value) {
      case 'number':
        if (Number.isFinite(value)) return value;
        throw this.#refused(`${value} is not a number that JSON can write`);
      case 'bigint':
        throw this.#refused('JSON cannot write a bigint: use a number or a string');
      case 'function':
      case 'symbol':
        throw this.#refused(`JSON would drop a ${typeof value}`);
      default:
        return value;
    }
  }

  #converted(value: unknown, key: string | number): unknown {
    const { toJSON } = value as { toJSON?: unknown };
    return typeof toJSON === 'function' ? Reflect.apply(toJSON, value, [String(key)]) : value;
  }

  #begin(container: object): void {
    if (this.#isOpen(container))
      throw this.#refused('it contains itself: JSON cannot write a cycle');
    if (this.#open.length === MAX_DEPTH) {
      throw new VarveError(
        'TOO_LARGE',
        `the conversation is nested more than ${MAX_DEPTH} deep: put its JSON text in ` +
          'UTF-8, or import it as JSONL',
      );
    }
    const isArray = Array.isArray(container);
    if (!isArray && !isPlain(container)) {
      throw this.#refused(
        `it is ${shown(container)}: give it a toJSON method, or put a plain object or an array`,
      );
    }
    const symbols = Object.getOwnPropertySymbols(container);
    const symbol =
      symbols.length > 0 ? symbols.find((each) => isEnumerable(container, each)) : undefined;
    if (symbol !== undefined) throw this.#refused(`JSON would drop its key ${String(symbol)}`);
    const keys = Object.keys(container);
    const count = isArray ? container.length : keys.length;
    if (isArray && keys.length > count) {
      throw this.#refused(`JSON would drop the property ${shown(keys.at(-1))} of an array`);
    }
    if (this.#open.length >= FEW_ANCESTORS) this.#ancestors.add(container);
    this.#open.push({ container, keys: isArray ? undefined : keys, count, next: 0, isEmpty: true });
    this.#text += isArray ? '[' : '{';
  }

  #isOpen(container: object): boolean {
    const few = Math.min(this.#open.length, FEW_ANCESTORS);
    for (let depth = 0; depth < few; depth++)
      if (this.#open[depth]?.container === container) return true;
    return this.#ancestors.has(container);
  }

  #end({ container, keys }: Open): void {
    this.#text += keys === undefined ? ']' : '}';
    this.#open.pop();
    if (this.#open.length >= FEW_ANCESTORS) this.#ancestors.delete(container);
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.next++;
  }

  #string(value: string): void {
    const text = JSON.stringify(value);
    if (text.length > PIECE_CHARACTERS) this.#add(text, text.length);
    else this.#text += text;
  }

  #tokens(ids: Uint32Array): void {
    // At least a digit and a comma for each.
    this.#add(new Uint32Array(ids), 2 * ids.length);
  }

  #flush(): void {
    if (this.#text === '') return;
    const piece = this.#text;
    this.#text = '';
    // A string of many parts takes more memory than its bytes.
    this.#count(piece.length);
    this.#pieces.push(Buffer.from(piece));
  }

  #add(piece: Piece, characters: number): void {
    this.#flush();
    this.#count(characters);
    this.#pieces.push(piece);
  }

  #count(characters: number): void {
    this.#characters += characters;
    if (this.#characters > MAX_CHARACTERS) throw tooLong();
  }

  #refused(reason: string): VarveError {
    return invalid(`${this.place}: ${reason}`);
  }
}

/** Whether JSON prints a number as JavaScript does: it is finite and not −0. */
function isPrinted(value: number): boolean {
  return value - value === 0 && (value !== 0 || 1 / value > 0);
}

/** Numbers as JSON writes them, separated by commas. Writing them at once is six times as fast. */
function listOf(numbers: readonly number[]): string {
  return 'toJSON' in numbers ? numbers.join(',') : JSON.stringify(numbers).slice(1, -1);
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  // The Object.prototype of another realm.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

function isEnumerable(value: object, key: symbol): boolean {
  return Object.getOwnPropertyDescriptor(value, key)?.enumerable === true;
}

function tooLong(cause?: unknown): VarveError {
  return new VarveError(
    'TOO_LARGE',
    'the conversation is longer than a JavaScript string can be: import it as JSONL',
    cause === undefined ? undefined : { cause },
  );
}
