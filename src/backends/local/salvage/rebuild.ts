import { CountTable } from '../../../core/collections/count-table.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { BlockRecord } from '../format/block.ts';
import { type BodyRecord, decodeBodyRecord, encodeBodyRecord } from '../format/body-record.ts';
import { BODIES, SEGMENTS } from '../format/schema.ts';
import { keyOf, ownerMark } from '../tables/manifest-table.ts';
import type { PackInventory } from './pack-inventory.ts';
import { type BuiltManifest, StoreBuilder } from './store-builder.ts';

/** A manifest to rebuild. */
export interface WantedManifest extends BuiltManifest {
  /** Whether its id differs from the one that its bodies were written for. */
  readonly isRenamed: boolean;
}

export interface BrokenManifest {
  readonly manifest: WantedManifest;
  readonly reason: string;
}

export interface RebuildOutcome {
  readonly written: readonly WantedManifest[];
  /** Manifests that are not fully readable; nothing of them was written. */
  readonly broken: readonly BrokenManifest[];
}

interface OwnedBody {
  readonly id: number;
  readonly owner: WantedManifest;
}

/** The next free ids of a rebuilt store. */
export interface NextIds {
  readonly segment: number;
  readonly body: number;
  readonly row: number;
}

/**
 * Writes the fully readable manifests into a new store, with their row ids, the record ids of their
 * bodies and segments, and all their fields.
 */
export async function rebuild(
  inventory: PackInventory,
  manifests: readonly WantedManifest[],
  root: string,
  next: NextIds,
): Promise<RebuildOutcome> {
  const broken = new Map<WantedManifest, string>();
  const bodies = manifests
    .flatMap((owner) => owner.bodies.map((id): OwnedBody => ({ id, owner })))
    .sort((a, b) => a.id - b.id);
  const builder = new StoreBuilder(root);
  try {
    const needed = new CountTable();
    for (const { body } of readBodies(inventory, bodies, broken)) {
      for (const segment of new Set(body.segments)) needed.add(segment, 1);
    }
    const missing = new IdSet();
    await builder.addRecords(SEGMENTS, readSegments(inventory, needed, missing));
    for (const { owner, body } of readBodies(inventory, bodies, broken)) {
      const segment = body.segments.find((each) => missing.has(each));
      if (segment !== undefined) broken.set(owner, `segment record ${segment} cannot be read`);
    }
    const counts = new CountTable();
    await builder.addRecords(BODIES, bodyRecords(inventory, bodies, broken, counts));
    const written = manifests.filter((manifest) => !broken.has(manifest));
    await builder.addManifests([...written].sort((a, b) => a.row - b.row));
    await builder.setCounts(unusualCounts(needed, missing, counts));
    await builder.finish(next);
    return { written, broken: [...broken].map(([manifest, reason]) => ({ manifest, reason })) };
  } catch (error) {
    await builder.close();
    throw error;
  }
}

/** Reads bodies in the order of their ids; records manifests with an unreadable one. */
function* readBodies(
  inventory: PackInventory,
  bodies: readonly OwnedBody[],
  broken: Map<WantedManifest, string>,
): Generator<OwnedBody & { readonly body: BodyRecord }, void, undefined> {
  for (const { id, owner } of bodies) {
    if (broken.has(owner)) continue;
    try {
      const { stored } = inventory.read(BODIES, id);
      const body = decodeBodyRecord(stored, `manifest body ${id}`);
      if (!owner.isRenamed && body.owner !== ownerMark(keyOf(owner))) {
        broken.set(owner, `manifest body ${id} is another manifest's`);
      } else yield { id, owner, body };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      broken.set(owner, error.message);
    }
  }
}

function* readSegments(
  inventory: PackInventory,
  needed: CountTable,
  missing: IdSet,
): Generator<BlockRecord, void, undefined> {
  for (const id of needed.ids()) {
    try {
      const { stored, directory, slot } = inventory.read(SEGMENTS, id);
      yield {
        id,
        bytes: stored,
        tokens: directory.isTokens(slot),
        address: directory.address(slot),
      };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      missing.add(id);
    }
  }
}

function* bodyRecords(
  inventory: PackInventory,
  bodies: readonly OwnedBody[],
  broken: Map<WantedManifest, string>,
  counts: CountTable,
): Generator<BlockRecord, void, undefined> {
  for (const { id, owner, body } of readBodies(inventory, bodies, broken)) {
    for (const segment of new Set(body.segments)) counts.add(segment, 1);
    const bytes = encodeBodyRecord({ ...body, owner: ownerMark(keyOf(owner)) });
    yield { id, bytes, tokens: false };
  }
}

/** Of the written segments, those that do not have exactly one reference. */
function* unusualCounts(
  needed: CountTable,
  missing: IdSet,
  counts: CountTable,
): Generator<readonly [number, number], void, undefined> {
  for (const id of needed.ids()) {
    const count = counts.get(id);
    if (!missing.has(id) && count !== 1) yield [id, count];
  }
}
