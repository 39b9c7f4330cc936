import { types } from 'node:util';
import { tokenSegmentBytes } from '../../cas/token-segment.ts';
import { asInvalid, invalid, shown } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
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
  const writer = new JsonWriter();
  try {
    return writer.write(value);
  } catch (cause) {
    if (types.isNativeError(cause) && /^Invalid string length$/.test(cause.message))
      throw tooLong(cause);
    throw asInvalid(`${writer.place} cannot be read`, cause);
  }
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
  readonly #ancestors = new Set<object>();
  readonly #pieces: Buffer[] = [];
  readonly #typedAt: number[] = [];
  #bytes = 0;
  #characters = 0;
  #text = '';

  write(root: object): JsonText {
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
      else if (top.keys === undefined) this.#item(top);
      else this.#member(top, top.keys[top.next] as string);
      if (this.#text.length > PIECE_CHARACTERS) this.#flush();
    }
    this.#flush();
    return { line: Buffer.concat(this.#pieces), typedAt: this.#typedAt };
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

  #item(top: Open): void {
    const value = this.#prepared((top.container as unknown[])[top.next], top.next);
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
    this.#text += top.isEmpty ? `${JSON.stringify(key)}:` : `,${JSON.stringify(key)}:`;
    top.isEmpty = false;
    this.#value(top, value);
  }

  #value(top: Open, value: unknown): void {
    if (typeof value === 'string') this.#text += JSON.stringify(value);
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
    if (this.#ancestors.has(container))
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
    const symbol = Object.getOwnPropertySymbols(container).find((each) =>
      isEnumerable(container, each),
    );
    if (symbol !== undefined) throw this.#refused(`JSON would drop its key ${String(symbol)}`);
    const keys = Object.keys(container);
    const count = isArray ? container.length : keys.length;
    if (isArray && keys.length > count) {
      throw this.#refused(`JSON would drop the property ${shown(keys.at(-1))} of an array`);
    }
    this.#ancestors.add(container);
    this.#open.push({ container, keys: isArray ? undefined : keys, count, next: 0, isEmpty: true });
    this.#text += isArray ? '[' : '{';
  }

  #end({ container, keys }: Open): void {
    this.#text += keys === undefined ? ']' : '}';
    this.#ancestors.delete(container);
    this.#open.pop();
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.next++;
  }

  #tokens(ids: Uint32Array): void {
    this.#flush();
    this.#typedAt.push(this.#bytes);
    const digits = printTokens(tokenSegmentBytes(ids), false);
    this.#characters += digits.length;
    this.#pieces.push(Buffer.from('['), digits, Buffer.from(']'));
    this.#bytes += digits.length + 2;
  }

  #flush(): void {
    const piece = Buffer.from(this.#text);
    this.#characters += this.#text.length;
    if (this.#characters > MAX_CHARACTERS) throw tooLong();
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#text = '';
  }

  #refused(reason: string): VarveError {
    return invalid(`${this.place}: ${reason}`);
  }
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
