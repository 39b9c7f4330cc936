import type { Patch, ProtocolBuild, ProtocolBuilds } from './protocol-build.ts';

/** Small constants: segments become hot, rollups are merged and caches overflow in short runs. */
const SMALL: readonly Patch[] = [
  { file: 'sidecar.ts', find: 'HOT_REFERENCES = 256', replace: 'HOT_REFERENCES = 3' },
  { file: 'sidecar.ts', find: 'HOT_REFUSALS = 6', replace: 'HOT_REFUSALS = 2' },
  { file: 'sidecar-table.ts', find: 'CACHED_SIDECARS = 20_000', replace: 'CACHED_SIDECARS = 20' },
  {
    file: 'segment-taker.ts',
    find: 'KNOWN_GENERATIONS = 100_000',
    replace: 'KNOWN_GENERATIONS = 20',
  },
  { file: 'head-page.ts', find: 'PAGE_ROWS = 4096', replace: 'PAGE_ROWS = 2' },
  { file: 'head-index.ts', find: 'OWN_JOURNALS = 16', replace: 'OWN_JOURNALS = 2' },
  { file: 'head-index.ts', find: 'LAST_JOURNALS = 4', replace: 'LAST_JOURNALS = 1' },
  { file: 'head-index.ts', find: 'CROWDED_JOURNALS = 64', replace: 'CROWDED_JOURNALS = 2' },
  { file: 'head-index.ts', find: 'QUIET_MS = 60 * 1000', replace: 'QUIET_MS = -1' },
  { file: 'merge-policy.ts', find: 'TIER_RUNS = 8', replace: 'TIER_RUNS = 2' },
  { file: 'merge-policy.ts', find: 'TIER_FACTOR = 8', replace: 'TIER_FACTOR = 2' },
  { file: 'compaction.ts', find: 'RETIRED_MS = 60 * 60 * 1000', replace: 'RETIRED_MS = 0' },
  { file: 'settle-journals.ts', find: 'YOUNG_MS = 60 * 1000', replace: 'YOUNG_MS = -1' },
  {
    file: 'settle-journals.ts',
    find: 'OVERDUE_MS = 15 * 60 * 1000',
    replace: 'OVERDUE_MS = 10 * 1000',
  },
  { file: 'list-index.ts', find: 'ROLLUP_HEADS = 256', replace: 'ROLLUP_HEADS = 2' },
  { file: 'list-index.ts', find: 'WORTHWHILE_HEADS = 16', replace: 'WORTHWHILE_HEADS = 1' },
  { file: 'list-index.ts', find: 'MERGED_ROLLUPS = 16', replace: 'MERGED_ROLLUPS = 3' },
];

/** Every heartbeat counts as missed, so that every attempt may be fenced at once. */
export const MISSED_HEARTBEATS: Patch = {
  file: 'reap.ts',
  find: 'MARGIN_MS = 2000',
  replace: 'MARGIN_MS = -1_000_000',
};

/** The protocol with small constants and, for a mutant, with `patches`. */
export function simulatedBuild(
  builds: ProtocolBuilds,
  patches: readonly Patch[] = [],
): Promise<ProtocolBuild> {
  return builds.load([...SMALL, ...patches]);
}
