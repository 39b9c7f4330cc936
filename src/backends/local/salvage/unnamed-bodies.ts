import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { BodyJudge, BodyNature } from '../../contract/audit.ts';
import { type BodyRecord, decodeBodyRecord } from '../format/body-record.ts';
import { BODIES, KIND_NUMBERS } from '../format/schema.ts';
import type { PackInventory } from './pack-inventory.ts';
import type { WantedManifest } from './rebuild.ts';
import type { Replay } from './replay.ts';

export interface UnnamedBodies {
  readonly manifests: readonly WantedManifest[];
  /** Bodies from which no manifest can be made. */
  readonly fragments: number;
}

interface Group {
  readonly nature: BodyNature;
  readonly bodies: number[];
  bytes: number;
  isEnded: boolean;
}

/**
 * Makes manifests with placeholder ids from the bodies that the log does not name. Messages added
 * to a conversation go to the last conversation before them with the same mark: 16 bits of the hash
 * of its id.
 *
 * @param isNamed whether the log names a body.
 */
export function nameBodies(
  inventory: PackInventory,
  { unknown, dropped, lastRow }: Replay,
  isNamed: (body: number) => boolean,
  judge: BodyJudge,
  now: number,
): UnnamedBodies {
  const seen = new IdSet();
  const groups: Group[] = [];
  const latest = new Map<string, Group>();
  let fragments = 0;
  for (const id of inventory.ids(BODIES)) {
    const isSought = unknown.some(({ first, end }) => id >= first && id < end);
    if (!isSought || seen.has(id) || dropped.has(id) || isNamed(id)) continue;
    seen.add(id);
    const record = readBody(inventory, id);
    const nature = record && judge(record.body, record.segments.length);
    if (record === undefined || nature === undefined) {
      fragments++;
      continue;
    }
    const key = `${nature.kind} ${record.owner}`;
    const open = latest.get(key);
    const follows = open !== undefined && !open.isEnded && nature.isFirst !== true;
    if (!follows && nature.isFirst === false) {
      fragments++;
      continue;
    }
    const group = follows ? open : { nature, bodies: [], bytes: 0, isEnded: false };
    if (!follows) groups.push(group);
    group.bodies.push(id);
    group.bytes += record.body.length;
    group.isEnded = nature.isLast;
    latest.set(key, group);
  }
  return {
    manifests: groups.map((group, at) => placeholder(group, lastRow + 1 + at, now)),
    fragments,
  };
}

function readBody(inventory: PackInventory, id: number): BodyRecord | undefined {
  try {
    return decodeBodyRecord(inventory.read(BODIES, id).stored, `manifest body ${id}`);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

function placeholder({ nature, bodies, bytes }: Group, row: number, now: number): WantedManifest {
  return {
    row,
    kind: KIND_NUMBERS[nature.kind],
    name: Buffer.from(`salvaged-${String(bodies[0]).padStart(6, '0')}`),
    state: {
      application: null,
      model: null,
      created: now,
      updated: now,
      expires: null,
      bytes,
      revision: 1,
    },
    bodies,
    nonces: new Map(),
    hold: undefined,
    isRenamed: true,
  };
}
