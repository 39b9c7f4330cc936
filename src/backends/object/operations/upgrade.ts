import { type AbortOptions, throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS } from '../../contract/manifests.ts';
import type { UpgradeReport } from '../../contract/upgrade.ts';
import { DESCRIPTOR_FORMAT, type NewestDescriptor } from '../format/descriptor.ts';
import type { HeadIndex } from '../heads/head-index.ts';
import { rebuildHeads } from '../heads/rebuild.ts';
import type { ListIndex } from '../listing/list-index.ts';
import { findStore, replaceDescriptor, type SeenDescriptor } from '../tables/descriptor.ts';
import type { Protocol } from '../tables/protocol.ts';

/**
 * Lets lists read pages and journals. The descriptor first says that writers keep journals, which
 * versions that keep none refuse to open; then what is there is brought to pages; then the
 * descriptor says that lists may rely on them. Each step may be repeated.
 */
export async function upgradeObjects(
  protocol: Protocol,
  heads: HeadIndex,
  index: ListIndex,
  { signal }: AbortOptions,
): Promise<UpgradeReport> {
  const { journal } = await descriptorOf(protocol);
  if (journal === 'ready') {
    heads.enter('ready');
    return { upgraded: false, changes: [] };
  }
  await say(protocol, 'building');
  heads.enter('building');
  for (const kind of MANIFEST_KINDS) {
    throwIfAborted(signal);
    if (!(await rebuildHeads(heads.tables, kind, signal)))
      throw new VarveError('BUSY', 'another process upgrades this store; try again later');
  }
  await say(protocol, 'ready');
  heads.enter('ready');
  await index.erase();
  return {
    upgraded: true,
    changes: ['lists are read from pages and journals, and no longer from every object'],
  };
}

async function descriptorOf(protocol: Protocol): Promise<Partial<NewestDescriptor>> {
  const { descriptor } = await seenOf(protocol);
  return descriptor.format === 1 ? {} : descriptor;
}

async function seenOf({ store }: Protocol): Promise<SeenDescriptor> {
  const seen = await findStore(store);
  if (seen === undefined)
    throw new VarveError('NOT_FOUND', `${store.location}: there is no store any more`);
  return seen;
}

/** Changes the descriptor. Another process may change it at the same time, or have done so. */
async function say(protocol: Protocol, journal: 'building' | 'ready'): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    const seen = await seenOf(protocol);
    const { descriptor } = seen;
    const before = descriptor.format === 1 ? { probed: [] } : descriptor;
    if ('journal' in before && (before.journal === journal || before.journal === 'ready')) return;
    const after: NewestDescriptor = {
      ...descriptor,
      ...before,
      format: DESCRIPTOR_FORMAT,
      journal,
    };
    if ((await replaceDescriptor(protocol.store, seen, after)) !== undefined) return;
  }
  throw new VarveError('BUSY', 'the descriptor kept changing; try again later');
}
