import { InvalidArgumentError } from 'commander';
import type { CollectShard } from '../../backends/contract/collection.ts';
import {
  DURATION_RULE,
  type Duration,
  millisecondsOf,
  type Retention,
  retentionFault,
} from '../../core/duration.ts';
import { isVarveError } from '../../core/errors.ts';
import { parseWhere, type WhereCondition } from '../../core/where.ts';

/**
 * Parsers of option values. Each throws commander's error, which names the option and ends with
 * exit code 2.
 */

const DATE = /^\d{4}-\d\d-\d\d$/;
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** Help text below commands that take durations. */
export const DURATION_HELP = `
Durations and ages are a number and a unit: ms, s, min (or m), h, d, w, mo (30 days) or y (365 days).`;

/** A duration such as `24h`, `90min` or `0`, in milliseconds. */
export function duration(text: string): number {
  const milliseconds = millisecondsOf(text);
  if (milliseconds === undefined) throw new InvalidArgumentError(`It must be ${DURATION_RULE}.`);
  return milliseconds;
}

/** Checks a duration and returns it as written, because messages and reports repeat it. */
export function writtenDuration(text: string): Duration {
  duration(text);
  return text as Duration;
}

/** Checks a retention time and returns it as written. Refuses a bare `m`. */
export function retention(text: string): Retention {
  const fault = retentionFault(text);
  if (fault !== undefined) throw new InvalidArgumentError(`It must be ${fault}.`);
  return text as Retention;
}

/** A condition such as `metadata.tenant=acme`; commander passes those given before. */
export function condition(text: string, before: readonly WhereCondition[] = []): WhereCondition[] {
  try {
    return [...before, parseWhere(text)];
  } catch (error) {
    if (!isVarveError(error, 'INVALID_ARGUMENT')) throw error;
    throw new InvalidArgumentError(
      'Write a path of keys, "=" and a value, such as metadata.tenant=acme.',
    );
  }
}

/**
 * A time such as `2026-01-31` (midnight UTC), `2026-01-31T08:00:00Z` or `7d` (ago), in milliseconds
 * since the epoch.
 */
export function time(text: string): number {
  if (/^\d[\d.]*[a-z]+$/.test(text)) return Date.now() - duration(text);
  const milliseconds = DATE.test(text) || DATE_TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(milliseconds) || !isDay(text.slice(0, 10))) {
    throw new InvalidArgumentError(
      'Write a date (2026-01-31), a time with its zone (2026-01-31T08:00:00Z) or an age (7d).',
    );
  }
  return milliseconds;
}

/** A share such as `1%` or `0.01`, from 0 to 1. */
export function share(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const value = match ? Number(match[1]) / (match[2] === '%' ? 100 : 1) : Number.NaN;
  if (!(value >= 0 && value <= 1))
    throw new InvalidArgumentError('Write a share from 0% to 100%, such as 1% or 0.01.');
  return value;
}

/** A whole number of at least 1. */
export function count(text: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw new InvalidArgumentError('Write a whole number of at least 1.');
  return value;
}

/** A share of the work such as `2/8`: from `0/8` to `7/8`, as job runners number them. */
export function shard(text: string): CollectShard {
  const match = /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || index >= count)
    throw new InvalidArgumentError(
      'Write the number of a shard, from 0, and how many there are, such as 0/8.',
    );
  return { index, count };
}

/** `end` is exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

/** A range of bytes such as `0-1023` (both ends included, as in HTTP) or `1024-`. */
export function byteRange(text: string): ByteRange {
  const match = /^(\d{1,15})-(\d{1,15})?$/.exec(text);
  const start = Number(match?.[1]);
  const end = match?.[2] === undefined ? undefined : Number(match[2]) + 1;
  if (!match || (end !== undefined && end <= start)) {
    throw new InvalidArgumentError(
      'Write the first and the last byte, such as 0-1023, or 1024- for everything after it.',
    );
  }
  return end === undefined ? { start } : { start, end };
}

/** Whether the calendar has such a day: `Date.parse` makes 3 March of 31 February. */
function isDay(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(day.valueOf()) && day.toISOString().startsWith(date);
}
