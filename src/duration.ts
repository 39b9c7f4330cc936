import { VarveError } from './errors.ts';

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/;

/** A duration in ms, or a number and a unit (ms, s, m, h, d, w) such as `24h`; `0` needs none. */
export type Duration = number | string;

/**
 * Reads a duration, in ms.
 *
 * @throws `INVALID_ARGUMENT` when it is negative or not written as one.
 */
export function parseDuration(duration: Duration): number {
  if (duration === '0') return 0;
  const match = typeof duration === 'string' ? DURATION.exec(duration) : null;
  const milliseconds =
    typeof duration === 'number' ? duration : Number(match?.[1]) * (UNIT_MS.get(match?.[2] ?? '') ?? Number.NaN);
  if (!(milliseconds >= 0)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `not a duration: ${JSON.stringify(duration)}; write a number and a unit (ms, s, m, h, d or w), such as 24h, or 0`,
    );
  }
  return milliseconds;
}
