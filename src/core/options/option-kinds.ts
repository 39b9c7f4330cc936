import {
  DURATION_RULE,
  type Duration,
  millisecondsOf,
  type Retention,
  retentionFault,
} from '../duration.ts';
import type { OptionFault } from './option-faults.ts';

/** A kind of option values. */
export interface Kind<Value> {
  /**
   * Reads a value once, groups and lists as copies.
   *
   * @param path - where it is.
   * @param faults - gets what is wrong with it; then what is returned means nothing.
   */
  read(value: unknown, path: readonly PropertyKey[], faults: OptionFault[]): Value;
}

/** The values of a kind. */
export type ValueOf<Of> = Of extends Kind<infer Value> ? Value : never;

/** Kinds by name. */
export type Kinds = Readonly<Record<string, Kind<unknown>>>;

/** The kinds of option values; declarations get them as `is`. */
export type OptionKinds = typeof OPTION_KINDS;

/** Kinds, with what a value must be for messages that continue "it must be". */
export const OPTION_KINDS = {
  flag: of<boolean>((value) => typeof value === 'boolean', 'true or false'),
  text: of<string>((value) => typeof value === 'string', 'a string'),
  signal: of<AbortSignal>((value) => value instanceof AbortSignal, 'an AbortSignal'),
  /** Milliseconds since the epoch. */
  time: of<number>(isNumber, 'a number of ms since the epoch, such as Date.now()'),
  /** A finite time: milliseconds since the epoch. */
  moment: of<number>(Number.isFinite, 'a finite number of ms since the epoch, such as Date.now()'),
  /** A maximum count; `Infinity` means no limit. */
  limit: of<number>(
    (value) => value === Number.POSITIVE_INFINITY || isWhole(value, 0),
    'a whole number of at least 0',
  ),
  duration: of<Duration>((value) => millisecondsOf(value) !== undefined, DURATION_RULE),
  retention: of<Retention>(
    (value) => retentionFault(value) === undefined,
    (value) => retentionFault(value) ?? '',
  ),
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
    return of<Choices[number]>(
      (value) => (choices as readonly unknown[]).includes(value),
      quoted.length === 0 ? `${last}` : `${quoted.join(', ')} or ${last}`,
    );
  },
  callback<Callback extends (...given: never[]) => unknown>() {
    return of<Callback>((value) => typeof value === 'function', 'a function');
  },
  /** A nested group of optional options. */
  group<Members extends Kinds>(
    members: Members,
  ): Kind<{ [Name in keyof Members]?: ValueOf<Members[Name]> | undefined }> {
    return objectOf(members, [], 'an object');
  },
  /** An object with all of these members, of which one may have to fit to the others. */
  record<Members extends Kinds>(
    members: Members,
    fit?: {
      readonly member: keyof Members & string;
      readonly isOne: (record: { [Name in keyof Members]: ValueOf<Members[Name]> }) => boolean;
      readonly what: string;
    },
  ): Kind<{ [Name in keyof Members]: ValueOf<Members[Name]> }> {
    type Values = { [Name in keyof Members]: ValueOf<Members[Name]> };
    const names = Object.keys(members);
    const record = objectOf<Values>(members, names, `an object with ${names.join(' and ')}`);
    if (fit === undefined) return record;
    const { member, isOne, what } = fit;
    return {
      read(value, path, faults) {
        const before = faults.length;
        const values = record.read(value, path, faults);
        if (faults.length === before && !isOne(values))
          faults.push({ path: [...path, member], value: values[member], what });
        return values;
      },
    };
  },
  list<Item>(item: Kind<Item>, what: string): Kind<Item[]> {
    return {
      read(value, path, faults) {
        if (Array.isArray(value))
          return Array.from(value, (each, at) => item.read(each, [...path, at], faults));
        faults.push({ path, value, what });
        return [];
      },
    };
  },
  /** Makes a kind for values that no other kind covers. */
  of,
};

/**
 * Reads the members of an object, each once. A member that is `undefined` counts as omitted.
 *
 * @param required - names of members that may not be omitted.
 */
export function readMembers(
  members: Kinds,
  required: readonly string[],
  given: Readonly<Record<string, unknown>>,
  path: readonly PropertyKey[],
  faults: OptionFault[],
): Record<string, unknown> {
  // An unknown name is a mistake even when its value is undefined.
  for (const name in given) {
    if (!Object.hasOwn(members, name))
      faults.push({ path: [...path, name], known: Object.keys(members) });
  }
  const read: Record<string, unknown> = {};
  for (const name of Object.keys(members)) {
    const value = given[name];
    if (value === undefined && !required.includes(name)) continue;
    read[name] = members[name]?.read(value, [...path, name], faults);
  }
  return read;
}

function objectOf<Value>(members: Kinds, required: readonly string[], what: string): Kind<Value> {
  return {
    read(value, path, faults) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        const given = value as Readonly<Record<string, unknown>>;
        return readMembers(members, required, given, path, faults) as Value;
      }
      faults.push({ path, value, what });
      return {} as Value;
    },
  };
}

function of<Value>(
  isOne: (value: unknown) => boolean,
  what: string | ((value: unknown) => string),
): Kind<Value> {
  return {
    read(value, path, faults) {
      if (!isOne(value))
        faults.push({ path, value, what: typeof what === 'string' ? what : what(value) });
      return value as Value;
    },
  };
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && !Number.isNaN(value);
}

function isWhole(value: unknown, least: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least;
}
