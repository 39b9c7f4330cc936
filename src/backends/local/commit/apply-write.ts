import { VarveError } from '../../../core/errors.ts';
import {
  decideAppend,
  decideDelete,
  decideHold,
  decidePut,
  nameOf,
  outcomeWithoutSegments,
} from '../../contract/decide.ts';
import type { HoldWrite, WriteOutcome, WriteSuccess } from '../../contract/manifests.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, revisionOf } from '../tables/manifest-table.ts';
import type { EntryWriter, PlannedEntries } from './entry-writer.ts';
import type { AdoptWrite, LocalAppend, LocalDelete, LocalPut, LocalWrite } from './local-write.ts';
import type { ManifestWriter } from './manifest-writer.ts';
import { holdSameEntries, holdsEntries } from './stored-content.ts';

/** What a write transaction is to write. */
export interface Changes {
  readonly index: LocalIndex;
  readonly entries: EntryWriter;
  readonly manifests: ManifestWriter;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Applies one write. What is wrong with it alone becomes its outcome: a write is planned first,
 * which may fail and changes nothing, and then carried out, which fails only as the whole
 * transaction does.
 */
export function applyWrite(write: LocalWrite, changes: Changes): WriteOutcome {
  try {
    switch (write.operation) {
      case 'put':
        return put(write, changes);
      case 'append':
        return append(write, changes);
      case 'delete':
        return remove(write, changes);
      case 'hold':
        return hold(write, changes);
      case 'adopt':
        return adopt(write, changes);
    }
  } catch (error) {
    if (error instanceof VarveError && error.code !== 'INTERNAL')
      return { status: 'failed', error };
    throw error;
  }
}

function put(write: LocalPut, { index, entries, manifests }: Changes): WriteOutcome {
  const { key, owner = key, fields } = write;
  const existing = manifests.find(key);
  const status = decidePut(write, manifests.stateOf(existing), () => {
    const row = existing as ManifestRow;
    return (
      index.manifests.hasFields(row, fields) && holdsEntries(index, entries, row, write.entries)
    );
  });
  if (status === 'unchanged') entries.heal(write.entries);
  if (status === 'unchanged' || status === 'skipped') return kept(status, existing);
  const planned = entries.plan(write.entries);
  const dropped = entries.planDrop(existing);
  const row = manifests.put(key, existing, fields, entries.store(planned, owner));
  entries.drop(dropped);
  return stored(status, row, planned);
}

function append(write: LocalAppend, { index, entries, manifests }: Changes): WriteOutcome {
  const { key, owner = key } = write;
  const existing = manifests.find(key);
  const status = decideAppend(write, manifests.stateOf(existing), (idempotencyKey) =>
    index.manifests.hasNonce(existing as ManifestRow, Buffer.from(idempotencyKey)),
  );
  if (status === 'unchanged') return kept(status, existing);
  const planned = entries.plan(write.entries);
  const bodies = entries.store(planned, owner);
  return stored(status, manifests.append(existing as ManifestRow, write, bodies), planned);
}

function remove(write: LocalDelete, { entries, manifests }: Changes): WriteOutcome {
  const existing = manifests.find(write.key);
  const status = decideDelete(write, manifests.stateOf(existing));
  if (existing !== undefined) removeRow(existing, { entries, manifests });
  return outcomeWithoutSegments(status);
}

function hold(write: HoldWrite, { manifests, now }: Changes): WriteOutcome {
  const existing = manifests.find(write.key);
  const decision = decideHold(write, manifests.stateOf(existing), now);
  if (decision.status !== 'unchanged') {
    const placed = decision.status === 'held' ? decision.hold : undefined;
    manifests.hold(existing as ManifestRow, placed);
  }
  return kept(decision.status, existing);
}

function adopt(write: AdoptWrite, { index, entries, manifests }: Changes): WriteOutcome {
  const { key, fields } = write;
  const upload = manifests.find(write.upload);
  if (upload === undefined) {
    throw new VarveError(
      'CONFLICT',
      `the upload of ${nameOf(key)} was collected before it ended: start it again`,
    );
  }
  const existing = manifests.find(key);
  const status = decidePut(write, manifests.stateOf(existing), () => {
    const row = existing as ManifestRow;
    return index.manifests.hasFields(row, fields) && holdSameEntries(index, entries, row, upload);
  });
  if (status === 'unchanged' || status === 'skipped') {
    removeRow(upload, { entries, manifests });
    return kept(status, existing);
  }
  const dropped = entries.planDrop(existing);
  const bodies = index.manifests.bodies(upload);
  manifests.remove(upload);
  const row = manifests.put(key, existing, fields, bodies);
  entries.drop(dropped);
  return outcomeWithoutSegments(status, revisionOf(row));
}

function removeRow(
  row: ManifestRow,
  { entries, manifests }: Pick<Changes, 'entries' | 'manifests'>,
): void {
  const dropped = entries.planDrop(row);
  manifests.remove(row);
  entries.drop(dropped);
}

/** The outcome of a write that left the content as it is. */
function kept(status: WriteSuccess['status'], row: ManifestRow | undefined): WriteSuccess {
  return outcomeWithoutSegments(status, row && revisionOf(row));
}

/** The outcome of a write that stored entries. */
function stored(
  status: WriteSuccess['status'],
  row: ManifestRow,
  { segments }: PlannedEntries,
): WriteSuccess {
  let newBytes = 0;
  for (const { bytes } of segments.values()) newBytes += bytes.length;
  return { status, revision: revisionOf(row), newSegments: segments.size, newBytes };
}
