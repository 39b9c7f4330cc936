/** Figures of repeated measurements, and seeded randomness. */

/**
 * The value below which a share of the sorted values lies (nearest rank).
 *
 * @param {Iterable<number>} values
 * @param {number} share 0 to 1
 */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * Median and range, for what was measured a few times.
 *
 * @param {readonly number[]} values
 */
export function spread(values) {
  return {
    median: quantile(values, 0.5),
    min: Math.min(...values),
    max: Math.max(...values),
    values: [...values],
  };
}

/**
 * The percentiles of many latencies, and their number.
 *
 * @param {Float64Array} values
 */
export function percentiles(values) {
  const of = (/** @type {number} */ share) => quantile(values, share);
  return { count: values.length, p50: of(0.5), p90: of(0.9), p99: of(0.99), max: of(1) };
}

/**
 * Random 32-bit integers from a seed: mulberry32, by Tommy Ettinger.
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function randomIntegers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
