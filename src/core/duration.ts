import { VarveError } from './errors.ts';

const SECOND_MS = 1000;
const DAY_MS = 86_400 * SECOND_MS;

const UNIT_MS = {
  ms: 1,
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  min: 60 * SECOND_MS,
  h: 3600 * SECOND_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
  mo: 30 * DAY_MS,
  y: 365 * DAY_MS,
} as const;

/** `m` and `min` are minutes, `mo` is 30 days, `y` is 365 days. */
export type DurationUnit = keyof typeof UNIT_MS;

/**
 * A number of ms; or a number and a unit, such as `'24h'` or `'1.5d'`. The units are `ms`, `s`,
 * `min` (or `m`), `h`, `d`, `w`, `mo` (30 days) and `y` (365 days). Zero needs no unit.
 */
export type Duration = number | '0' | `${number}${DurationUnit}`;

/**
 * How long something is kept: a {@link Duration} without the unit `m`, which some read as minutes
 * and others as months (write `min` or `mo`). A number of ms must be 0 or at least 60,000, because
 * whoever writes 90 means days.
 */
export type Retention = number | '0' | `${number}${Exclude<DurationUnit, 'm'>}`;

/** The rule for durations, for messages. */
export const DURATION_RULE =
  'a number and a unit (ms, s, min, h, d, w, mo of 30 days, y of 365 days), such as 24h, or 0';

const RETENTION_RULE =
  'a number and a unit (min, h, d, w, mo of 30 days, y of 365 days), such as 90d, or 0';

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d|w|mo|y)$/;

/**
 * Parses a duration, in ms.
 *
 * ```ts
 * const ms = parseDuration('90d');
 * ```
 *
 * @throws `INVALID_ARGUMENT` when it is negative or malformed.
 */
export function parseDuration(duration: number | string): number {
  const milliseconds = millisecondsOf(duration);
  if (milliseconds !== undefined) return milliseconds;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `not a duration: ${JSON.stringify(duration)}; write ${DURATION_RULE}`,
  );
}

/** In ms; `undefined` when it is not a duration. */
export function millisecondsOf(duration: unknown): number | undefined {
  if (typeof duration === 'number') return duration >= 0 ? duration : undefined;
  if (duration === '0') return 0;
  const match = typeof duration === 'string' ? DURATION.exec(duration) : null;
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2] as DurationUnit];
}

/**
 * What is wrong with `value` as a {@link Retention}, as the end of "must be …"; `undefined` when
 * nothing is.
 */
export function retentionFault(value: unknown): string | undefined {
  const milliseconds = millisecondsOf(value);
  if (milliseconds === undefined) return RETENTION_RULE;
  if (typeof value === 'number') {
    const isPlausible = value === 0 || value >= UNIT_MS.min;
    return isPlausible
      ? undefined
      : `at least ${UNIT_MS.min} when it is a number, which is of ms: 90 days are '90d'`;
  }
  const [, number] = /^([\d.]+)m$/.exec(value as string) ?? [];
  return number === undefined
    ? undefined
    : `unambiguous: minutes are ${number}min, months of 30 days are ${number}mo`;
}
