/** Formats numbers and names for people. `--json` output never goes through here. */

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'];

/** Formats a size in decimal units with three digits: `512 B`, `27.2 MB`. */
export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  let value = size;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < UNITS.length - 1);
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Formats a count with its noun: `1 conversation`, `1,123 conversations`. */
export function counted(count: number, singular: string, plural = `${singular}s`): string {
  return `${number(count)} ${count === 1 ? singular : plural}`;
}

export function number(value: number): string {
  return value.toLocaleString('en-US');
}

/**
 * How many times smaller `part` is than `whole`: `10.9 times smaller`; empty where no ratio makes
 * sense.
 */
export function timesSmaller(whole: number, part: number): string {
  if (part <= 0 || whole <= part) return '';
  const ratio = whole / part;
  return `${ratio.toFixed(ratio < 10 ? 2 : ratio < 100 ? 1 : 0)} times smaller`;
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
}

/** Formats a time in UTC to the second: `2026-01-31 08:00:00`. */
export function timestamp(milliseconds: number): string {
  const date = new Date(milliseconds);
  return Number.isNaN(date.valueOf()) ? '-' : date.toISOString().slice(0, 19).replace('T', ' ');
}

/**
 * Returns a name as it is, or as a JSON string when it has characters on which a terminal or a
 * line-based script would act.
 */
export function name(text: string): string {
  const risky = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|^"|^$/u.test(text);
  if (!risky) return text;
  return JSON.stringify(text).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

function escaped(character: string): string {
  let units = '';
  for (let at = 0; at < character.length; at++) {
    units += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  }
  return units;
}

/**
 * Formats rows as columns padded to the widest cell, except the last; aligns the columns in `right`
 * to the right.
 */
export function table(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) => {
        if (right.includes(column)) return cell.padStart(widths[column] ?? 0);
        return column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0);
      })
      .join('  '),
  );
}
