/** Cells that compare builds. */
import { fixed } from '../../support/table.mjs';

/** @typedef {Record<string, number>} Figures */

/**
 * One figure of each build: `132 → 6.0 (÷22)`.
 *
 * @param {readonly (number | undefined)[]} values in the order of the builds
 * @param {(value: number) => string} [format]
 */
export function compared(values, format = rounded) {
  const shown = values.map((value) => (value === undefined ? '–' : format(value)));
  const [before, after] = values;
  if (before === undefined || after === undefined) return shown.join(' → ');
  return `${shown.join(' → ')} (${factor(before, after)})`;
}

/**
 * @param {number} before
 * @param {number} after
 */
function factor(before, after) {
  if (before === after) return '=';
  if (before === 0 || after === 0) return '–';
  return after < before ? `÷${rounded(before / after)}` : `×${rounded(after / before)}`;
}

/**
 * With as many digits as say something: 0.36, 3.5, 19, 132.
 *
 * @param {number} value
 */
function rounded(value) {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return fixed(value, size < 1 ? 2 : size < 10 ? 1 : 0);
}

/**
 * What each build says of one thing.
 *
 * @param {readonly Figures[]} figures one a build
 * @param {string} name
 */
export function of(figures, name) {
  return figures.map((one) => one[name]);
}
