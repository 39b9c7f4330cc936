import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { VarveError } from '../../../core/errors.ts';
import { assertApart } from '../../../core/system/real-path.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { BodyJudge } from '../../contract/audit.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { DoubtfulManifest, SalvageOptions, SalvageReport } from '../../contract/rescue.ts';
import { assertFinished } from '../database/index-file.ts';
import { BODIES, SEGMENTS } from '../format/schema.ts';
import { keyOf } from '../tables/manifest-table.ts';
import { selectLog } from './log-selection.ts';
import { PackInventory } from './pack-inventory.ts';
import { type BrokenManifest, type NextIds, rebuild, type WantedManifest } from './rebuild.ts';
import { type Replay, type ReplayedManifest, replayLog } from './replay.ts';
import { nameBodies } from './unnamed-bodies.ts';

/**
 * Rebuilds a store from its packs alone, in a new folder, by replaying the log in them, see
 * invariants L6 and L7. Only reads the folder of the store, and never its index.
 *
 * @throws `NOT_FOUND` when there are no packs, `INVALID_ARGUMENT` when the new folder is not empty,
 *   `NO_SPACE`, `IO`.
 */
export async function salvageLocal(
  from: string,
  to: string,
  judge: BodyJudge,
  options: SalvageOptions,
): Promise<SalvageReport> {
  const started = performance.now();
  const [source, target] = [resolve(from), resolve(to)];
  const quarantine = join(dirname(target), `${basename(target)}.quarantine`);
  try {
    assertFinished(source);
    for (const folder of [target, quarantine]) assertFree(source, folder);
    const inventory = PackInventory.open(source);
    try {
      return await salvage(inventory, target, quarantine, judge, options, started);
    } finally {
      inventory.close();
    }
  } catch (cause) {
    throw toVarveError(cause, `salvaging ${source} to ${target}`);
  }
}

async function salvage(
  inventory: PackInventory,
  target: string,
  quarantine: string,
  judge: BodyJudge,
  { signal, onProgress }: SalvageOptions,
  started: number,
): Promise<SalvageReport> {
  const { packs } = inventory;
  for (const [done, pack] of packs.entries()) {
    throwIfAborted(signal);
    inventory.scan(pack);
    onProgress?.({ phase: 'packs', done: done + 1, total: packs.length });
    await nextTurn();
  }
  const selection = selectLog(inventory);
  inventory.settle(selection.voids);
  const replay = replayLog(selection);
  const sure = replay.manifests.filter(({ doubt }) => doubt === undefined);
  const next = nextIds(inventory, replay);
  const rebuilt = await rebuild(inventory, sure.map(wanted), target, next);
  throwIfAborted(signal);

  const named = namedBodies(replay.manifests);
  const unnamed = nameBodies(inventory, replay, (body) => named.has(body), judge, Date.now());
  const doubtful = replay.manifests.filter(({ doubt }) => doubt !== undefined);
  const set = [...doubtful.map(wanted), ...unnamed.manifests];
  const reasons = new Map(doubtful.map(({ row, doubt }) => [row, doubt as string]));
  const aside =
    set.length === 0
      ? { written: [], broken: [] }
      : await rebuild(inventory, set, quarantine, {
          ...next,
          row: next.row + unnamed.manifests.length,
        });
  const damage = [...inventory.unreadable(selection.voids), ...replay.losses];
  if (unnamed.fragments > 0)
    damage.push(`${unnamed.fragments} parts of manifests lack their beginning, or are unreadable`);
  const lost = [...rebuilt.broken, ...aside.broken].map(described);
  return {
    location: target,
    manifests: rebuilt.written.length,
    isCertain: damage.length === 0 && lost.length === 0 && aside.written.length === 0,
    ...(aside.written.length > 0 && {
      quarantine: {
        location: quarantine,
        manifests: aside.written.map((manifest) => ({
          ...publicKey(manifest),
          reason: reasons.get(manifest.row) ?? 'its id is lost; it may have been deleted',
        })),
      },
    }),
    lost,
    damage,
    durationMs: performance.now() - started,
  };
}

function wanted(manifest: ReplayedManifest): WantedManifest {
  return { ...manifest, isRenamed: false };
}

function described({ manifest, reason }: BrokenManifest): DoubtfulManifest {
  return { ...publicKey(manifest), reason };
}

function publicKey(manifest: WantedManifest): ManifestKey {
  return keyOf(manifest) as ManifestKey;
}

function namedBodies(manifests: readonly ReplayedManifest[]): IdSet {
  const named = new IdSet();
  for (const { bodies } of manifests) for (const body of bodies) named.add(body);
  return named;
}

function nextIds(inventory: PackInventory, { lastRow }: Replay): NextIds {
  return { segment: inventory.nextId(SEGMENTS), body: inventory.nextId(BODIES), row: lastRow + 1 };
}

/**
 * @throws `INVALID_ARGUMENT` unless the folder is new or empty, and neither folder is inside the
 *   other.
 */
function assertFree(source: string, folder: string): void {
  assertApart(folder, source);
  const [other] = existsSync(folder)
    ? readdirSync(folder).filter((name) => name !== 'lost+found')
    : [];
  if (other !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${folder} is not empty (it contains ${JSON.stringify(other)}): a store is salvaged ` +
        'into a new or empty folder',
    );
  }
}
