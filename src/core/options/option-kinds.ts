import type { z } from 'zod';
import {
  DURATION_RULE,
  type Duration,
  millisecondsOf,
  type Retention,
  retentionFault,
} from '../duration.ts';
import type { Zod } from './zod-loader.ts';

/** Any schema. */
export type Schema = z.ZodType;

/** The kinds of option values. Their messages continue "it must be". */
export type OptionKinds = ReturnType<typeof optionKinds>;

/** Builds the kinds; called once, when options first need a schema. */
export function optionKinds(zod: Zod) {
  const of = <Value>(isOne: (value: unknown) => boolean, what: string) =>
    zod.custom<Value>(isOne, what);
  return {
    flag: zod.boolean('true or false'),
    text: zod.string('a string'),
    signal: of<AbortSignal>((value) => value instanceof AbortSignal, 'an AbortSignal'),
    /** Milliseconds since the epoch. */
    time: of<number>(isNumber, 'a number of ms since the epoch, such as Date.now()'),
    /** A finite time: milliseconds since the epoch. */
    moment: of<number>(
      Number.isFinite,
      'a finite number of ms since the epoch, such as Date.now()',
    ),
    /** A maximum count; `Infinity` means no limit. */
    limit: of<number>(
      (value) => value === Number.POSITIVE_INFINITY || isWhole(value, 0),
      'a whole number of at least 0',
    ),
    duration: of<Duration>((value) => millisecondsOf(value) !== undefined, DURATION_RULE),
    retention: zod.custom<Retention>((value) => retentionFault(value) === undefined, {
      error: ({ input }) => retentionFault(input),
    }),
    whole(least: number, most = Number.MAX_SAFE_INTEGER) {
      const end = most === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${most}`;
      return of<number>(
        (value) => isWhole(value, least) && (value as number) <= most,
        `a whole number of at least ${least}${end}`,
      );
    },
    /** A number, with or without a fraction. */
    number(least: number, most = Number.POSITIVE_INFINITY) {
      const end = most === Number.POSITIVE_INFINITY ? '' : ` and at most ${most}`;
      return of<number>(
        (value) => isNumber(value) && (value as number) >= least && (value as number) <= most,
        `a number of at least ${least}${end}`,
      );
    },
    oneOf<const Choices extends readonly [string, ...string[]]>(...choices: Choices) {
      const quoted = choices.map((choice) => JSON.stringify(choice));
      const last = quoted.pop();
      return zod.enum(choices, quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`);
    },
    callback<Callback extends (...given: never[]) => unknown>() {
      return of<Callback>((value) => typeof value === 'function', 'a function');
    },
    /** A nested group of optional options. */
    group<Members extends z.ZodRawShape>(members: Members) {
      return zod.strictObject(members, 'an object').partial();
    },
    list<Item extends z.ZodType>(item: Item, what: string) {
      return zod.array(item, what);
    },
    /** An object with all of these members. */
    record<Members extends z.ZodRawShape>(members: Members) {
      return zod.strictObject(members, `an object with ${Object.keys(members).join(' and ')}`);
    },
    /** Makes a kind for values that no other kind covers. */
    of,
  };
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && !Number.isNaN(value);
}

function isWhole(value: unknown, least: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least;
}
