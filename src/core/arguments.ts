import { types } from 'node:util';
import { isVarveError, VarveError } from './errors.ts';

/** Bounds of a text's length, in bytes of UTF-8. */
export interface TextBounds {
  /** Default: 1. */
  readonly least?: number;
  readonly most: number;
}

const lengthOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'length',
)?.get as (this: Uint8Array) => number;

/**
 * Checks a name: an id, an application, a reason, an idempotency key. Refuses lone surrogates: they
 * have no UTF-8 form, so two different strings would become the same name.
 *
 * @param what - begins the message, such as `an id`
 * @throws `INVALID_ARGUMENT` unless `value` is a well-formed string within the bounds.
 */
export function checkText(
  what: string,
  value: unknown,
  { least = 1, most }: TextBounds,
): asserts value is string {
  if (typeof value !== 'string') throw invalid(`${what} must be a string, not ${shown(value)}`);
  const bytes = value.length > most ? value.length : Buffer.byteLength(value);
  if (bytes < least || bytes > most) {
    const range = least === 0 ? `at most ${most}` : `${least} to ${most}`;
    throw invalid(`${what} must have ${range} bytes of UTF-8, not ${shown(value)}`);
  }
  if (!value.isWellFormed())
    throw invalid(
      `${what} must be well-formed Unicode without lone surrogates, not ${shown(value)}`,
    );
}

/**
 * @param what - begins the message, such as `a segment`
 * @throws `INVALID_ARGUMENT` unless `value` is a `Uint8Array` (such as a `Buffer`) that reports its
 *   true length.
 */
export function checkBytes(what: string, value: unknown): asserts value is Uint8Array {
  if (!isBytes(value)) throw invalid(`${what} must be a Uint8Array, not ${shown(value)}`);
}

/** Whether `value` is a real `Uint8Array`; an object that only imitates one is not. */
export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value) && lengthOf.call(value) === value.length;
}

/**
 * Copies the items of a list into a new array.
 *
 * @param what - begins the message, such as `ids to delete`
 * @param check - throws for an invalid item
 * @throws `INVALID_ARGUMENT` unless `value` is an iterable; a string does not count as a list of
 *   its characters.
 */
export function listOf<Item>(
  what: string,
  value: Iterable<Item>,
  check: (item: Item) => void,
): Item[] {
  return reading(what, () => {
    if (
      typeof value !== 'object' ||
      value === null ||
      typeof value[Symbol.iterator] !== 'function'
    ) {
      throw invalid(`${what} must be a list, not ${shown(value)}`);
    }
    const items: Item[] = [];
    // One by one: a sparse array may have a length far beyond memory.
    for (const item of value) {
      check(item);
      items.push(item);
    }
    return items;
  });
}

/**
 * Yields the items of a list that may arrive over time, and awaits items that are promises.
 * Rethrows what the iterator throws.
 *
 * @param what - begins the message
 * @throws `INVALID_ARGUMENT` unless `value` is an iterable, synchronous or not; a string does not
 *   count as one.
 */
export function itemsOf<Item>(
  what: string,
  value: AsyncIterable<Item> | Iterable<Item>,
): AsyncIterable<Item> {
  const iterator = iteratorOf(what, value);
  const next = async (): Promise<IteratorResult<Item>> => {
    const step = stepOf(what, await iterator.next());
    if (step.done) return { done: true, value: undefined };
    // Not a generator: `yield` would look up `then` on every item, and items may have getters.
    return { done: false, value: types.isPromise(step.value) ? await step.value : step.value };
  };
  const end = async (): Promise<IteratorResult<Item>> => {
    await iterator.return?.();
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

/** Returns the iterator of a value that {@link itemsOf} accepts. @throws `INVALID_ARGUMENT`. */
export function iteratorOf<Item>(
  what: string,
  value: AsyncIterable<Item> | Iterable<Item>,
): AsyncIterator<Item> | Iterator<Item> {
  return reading(what, () => {
    if (typeof value === 'object' && value !== null) {
      const given = value as Partial<AsyncIterable<Item> & Iterable<Item>>;
      const asyncIterator = given[Symbol.asyncIterator];
      const iterator =
        typeof asyncIterator === 'function'
          ? asyncIterator.call(given)
          : given[Symbol.iterator]?.call(given);
      if (typeof iterator?.next === 'function') return iterator;
    }
    throw invalid(`${what} an iterable; not ${shown(value)}`);
  });
}

/** @throws `INVALID_ARGUMENT` for a step that is not an object. */
export function stepOf<Step>(what: string, step: Step): Step {
  if (typeof step === 'object' && step !== null) return step;
  throw invalid(`${what} an iterable whose steps are objects; not ${shown(step)}`);
}

/** Describes a value for an error message. Never throws, whatever the value does. */
export function shown(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`.slice(0, 60);
  if (typeof value !== 'object' || value === null) return String(value).slice(0, 60);
  try {
    if (Array.isArray(value)) return `an array of ${value.length}`;
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== '' && name !== 'Object'
      ? `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name.slice(0, 60)}`
      : 'an object';
  } catch {
    return 'an object that cannot be read';
  }
}

export function invalid(message: string, cause?: unknown): VarveError {
  return new VarveError('INVALID_ARGUMENT', message, cause === undefined ? undefined : { cause });
}

/**
 * Wraps what a caller's argument threw as the error of the call; keeps an error that is already
 * specific.
 */
export function asInvalid(message: string, cause: unknown): VarveError {
  try {
    if (isVarveError(cause) && cause.code !== 'INTERNAL') return cause;
    return invalid(`${message}: ${cause instanceof Error ? cause.message : shown(cause)}`, cause);
  } catch {
    // What was thrown cannot be read either.
    return invalid(message);
  }
}

/**
 * Runs code that reads a caller's value. @throws `INVALID_ARGUMENT` for whatever the value throws.
 */
export function reading<Result>(what: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    throw asInvalid(`${what} cannot be read`, cause);
  }
}
