import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import { slicesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS } from '../../contract/manifests.ts';
import { listPages } from '../../storage/listing.ts';
import { manifestsPrefix } from '../format/keys.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';

/** Manifests read per batch. */
const WINDOW = 64;

export interface ManifestVisitor {
  /** Called with each manifest's object, tombstones included. */
  readonly onRecord: (objectKey: string, seen: SeenRecord) => void;
  /** Called with the error of an unreadable manifest. Default: it is skipped. */
  readonly onUnreadable?: (objectKey: string, error: VarveError) => void;
  /** Whether no more manifests may be read. Default: never. */
  readonly isOver?: () => boolean;
}

/**
 * Reads every manifest of the store, by a LIST and a GET each: no index is asked (rule
 * `hint-before-change`). Returns whether that was not cut short.
 */
export async function walkManifests(
  protocol: Protocol,
  { onRecord, onUnreadable, isOver = () => false }: ManifestVisitor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const read = async (objectKey: string) => {
    try {
      const seen = await protocol.manifests.readObject(objectKey);
      if (seen.record !== undefined) onRecord(objectKey, seen);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      onUnreadable?.(objectKey, error);
    }
  };
  for (const kind of MANIFEST_KINDS) {
    for await (const page of listPages(protocol, manifestsPrefix(kind), abortOf(signal))) {
      for (const window of slicesOf(page, WINDOW)) {
        throwIfAborted(signal);
        if (isOver()) return false;
        await mapAll(window, ({ key }) => read(key));
      }
    }
  }
  return true;
}
