/**
 * Whether to run what takes minutes: long searches, and whole suites where every step is a request.
 * Continuous integration does (`VARVE_THOROUGH=1`); people wait for `npm test`.
 */
export const IS_THOROUGH = process.env['VARVE_THOROUGH'] !== undefined;

/** Says loudly, and once a file, what is left out; returns whether it is. */
export function leftOut(what: string): boolean {
  if (!IS_THOROUGH) console.warn(`!!! SKIPPED: ${what}: set VARVE_THOROUGH=1`);
  return !IS_THOROUGH;
}

/** How often to try: as often as people wait for, or as often as continuous integration does. */
export function times(usual: number, thorough: number): number {
  return IS_THOROUGH ? thorough : usual;
}
