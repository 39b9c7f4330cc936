import { abortOf } from '../../../core/abort.ts';
import { slicesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isVarveError } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { rollupKey } from '../format/keys.ts';
import { decodeRollup, encodeRollups, type ListedManifest } from '../format/rollup.ts';
import type { Protocol } from '../tables/protocol.ts';

/** Rollups read at once. */
const WINDOW = 16;

/** A rollup that is stored. */
export interface WrittenRollup {
  readonly key: string;
  readonly entries: readonly ListedManifest[];
}

/** Reads rollups; one that is gone has no entries. */
export async function* readRollups(
  { store }: Protocol,
  rollups: readonly { readonly key: string }[],
  signal?: AbortSignal,
): AsyncGenerator<WrittenRollup, void, undefined> {
  for (const window of slicesOf(rollups, WINDOW)) {
    yield* await mapAll(window, async ({ key }) => {
      const object = await store.get(key, abortOf(signal));
      return { key, entries: object === undefined ? [] : decodeRollup(object.body, key) };
    });
  }
}

/** Stores heads as rollups. A rollup that is not stored costs reads later, nothing else. */
export async function writeRollups(
  { store, randomness }: Protocol,
  kind: ManifestKind,
  entries: readonly ListedManifest[],
): Promise<{ written: WrittenRollup[]; isWhole: boolean }> {
  const written: WrittenRollup[] = [];
  const newKey = () => rollupKey(kind, randomness.nonce());
  for (const { key, body, entries: part } of encodeRollups(entries, newKey)) {
    try {
      const result = await store.put(key, body, { kind: 'absent' });
      if (result.outcome !== 'stored') return { written, isWhole: false };
      written.push({ key, entries: part });
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return { written, isWhole: false };
    }
  }
  return { written, isWhole: true };
}
