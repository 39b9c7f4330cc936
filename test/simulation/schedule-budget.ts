import { IS_THOROUGH } from '../thorough.ts';

/** How many schedules are run: `VARVE_SEEDS`, or few enough for a test run that people wait for. */
export function scheduleCount(): number {
  return Number(process.env['VARVE_SEEDS'] ?? 80);
}

/** The first seed; `VARVE_SEED` replays just that one, and prints its trace. */
export function replayedSeed(): number | undefined {
  const seed = process.env['VARVE_SEED'];
  return seed === undefined ? undefined : Number(seed);
}

/** Runs of each scene that is not run through: `VARVE_INTERLEAVINGS`. */
export function interleavingCount(): number {
  return Number(process.env['VARVE_INTERLEAVINGS'] ?? (IS_THOROUGH ? 300 : 3));
}
