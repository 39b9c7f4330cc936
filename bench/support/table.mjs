/** Tables in Markdown, for people and for ARCHITECTURE.md. */

/**
 * @param {string} title
 * @param {readonly string[]} columns
 * @param {readonly (readonly (string | number)[])[]} rows
 */
export function table(title, columns, rows) {
  const cells = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, column) =>
    Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  // The first column holds names, the others figures.
  const line = (/** @type {readonly string[]} */ row) =>
    '| ' +
    `${widths.map((width, at) => (at === 0 ? (row[at] ?? '').padEnd(width) : (row[at] ?? '').padStart(width))).join(' | ')} ` +
    '|';
  const rule = `|${widths.map((width, at) => (at === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [head = [], ...body] = cells;
  return [`\n### ${title}\n`, line(head), rule, ...body.map(line), ''].join('\n');
}

/** @param {number} bytes */
export const megabytes = (bytes) => fixed(bytes / 1e6, 2);

/** @param {number} milliseconds */
export const seconds = (milliseconds) => fixed(milliseconds / 1000, 2);

/**
 * @param {number} value
 * @param {number} digits
 */
export function fixed(value, digits) {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

/**
 * The median and, where there were several measurements, the range.
 *
 * @param {{ median: number, min: number, max: number, values: readonly number[] }} measured
 * @param {(value: number) => string} format
 */
export function ranged({ median, min, max, values }, format) {
  return values.length === 1 ? format(median) : `${format(median)} (${format(min)}–${format(max)})`;
}
