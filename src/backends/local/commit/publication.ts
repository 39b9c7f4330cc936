import { randomUUID } from 'node:crypto';
import type { AbortOptions } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ManifestFields, NewEntry, WriteOutcome } from '../../contract/manifests.ts';
import { publishInBatches } from '../../contract/publish-in-batches.ts';
import type { PublishWrite } from '../../contract/write-intake.ts';
import type { LocalKey } from '../tables/manifest-table.ts';
import type { LocalWrite } from './local-write.ts';

type Commit = (
  writes: readonly LocalWrite[],
  signal: AbortSignal | undefined,
) => Promise<WriteOutcome[]>;

/**
 * Stores entries as they arrive under a manifest of the internal kind `upload`; the last
 * transaction gives them to the manifest that they are for. An upload is named after the lock of
 * its process, so that a collection can see whether it was abandoned.
 */
export function publishStream(
  commit: Commit,
  owner: string,
  write: PublishWrite,
  entries: AsyncIterable<NewEntry>,
  fields: () => ManifestFields,
  { signal }: AbortOptions,
): Promise<WriteOutcome> {
  const upload: LocalKey = { kind: 'upload', id: `${owner}/${randomUUID()}` };
  let isBegun = false;

  const one = async (each: LocalWrite): Promise<WriteOutcome> =>
    (await commit([each], signal))[0] as WriteOutcome;

  const store = async (batch: readonly NewEntry[]): Promise<WriteOutcome> => {
    const stored = await one(
      isBegun
        ? { operation: 'append', key: upload, owner: write.key, logicalBytes: 0, entries: batch }
        : {
            operation: 'put',
            key: upload,
            owner: write.key,
            ifExists: 'error',
            fields: { logicalBytes: 0 },
            entries: batch,
          },
    );
    if (stored.status !== 'failed') isBegun = true;
    return stored;
  };

  const abandon = async (): Promise<void> => {
    if (isBegun) await discard(commit, upload);
  };

  const adopt = async (given: ManifestFields): Promise<WriteOutcome> => {
    try {
      const outcome = await one({ ...write, operation: 'adopt', upload, fields: given });
      if (outcome.status === 'failed') await abandon();
      return outcome;
    } catch (error) {
      await abandon();
      throw error;
    }
  };

  return publishInBatches(entries, fields, {
    storesBodies: true,
    signal,
    waitFor: (next) => next,
    store,
    abandon,
    commit: adopt,
  });
}

/** Removes an upload that will not end; when even that fails, a collection does it. */
async function discard(commit: Commit, upload: LocalKey): Promise<void> {
  try {
    await commit([{ operation: 'delete', key: upload }], undefined);
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
  }
}
