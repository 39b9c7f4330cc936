import { IS_THOROUGH } from '../thorough.ts';

/** Number of schedules to run: `VARVE_SEEDS`. Default: few enough to wait for. */
export function scheduleCount(): number {
  return Number(process.env['VARVE_SEEDS'] ?? 80);
}

/** The only seed to run, with its trace printed: `VARVE_SEED`. */
export function replayedSeed(): number | undefined {
  const seed = process.env['VARVE_SEED'];
  return seed === undefined ? undefined : Number(seed);
}

/** Number of schedules of each scenario that is not explored completely: `VARVE_INTERLEAVINGS`. */
export function interleavingCount(): number {
  return Number(process.env['VARVE_INTERLEAVINGS'] ?? (IS_THOROUGH ? 300 : 3));
}

/**
 * Number of schedules after which a mutant counts as not found: `VARVE_MUTANT_SCHEDULES`. Default:
 * several times what any of them needs.
 */
export function mutantScheduleCount(): number {
  return Number(process.env['VARVE_MUTANT_SCHEDULES'] ?? 200);
}
