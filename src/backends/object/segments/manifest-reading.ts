import { isVarveError, VarveError } from '../../../core/errors.ts';
import type { ManifestKey, ReadManifestOptions, StoredManifest } from '../../contract/manifests.ts';
import { headOfRecord } from '../format/manifest-record.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { SegmentReader } from './segment-reader.ts';

/** A manifest with its bodies, the spilled ones included; `undefined` when there is none. */
export async function readManifest(
  { manifests }: Pick<Protocol, 'manifests'>,
  reader: SegmentReader,
  key: ManifestKey,
  entries: ReadManifestOptions['entries'] = 'all',
): Promise<StoredManifest | undefined> {
  for (;;) {
    const { record, etag } = await manifests.read(key);
    const current = record?.current;
    if (current === undefined) return undefined;
    try {
      const wanted = entries === 'newest' ? current.entries.slice(-1) : current.entries;
      const bodies = await reader.bodies(wanted, current.references);
      const parts = wanted.flatMap(({ body }) => (body.kind === 'spilled' ? body.parts : []));
      const spilled = [...new Set(parts.map(({ address }) => address))];
      return {
        ...headOfRecord(key, current),
        ...(spilled.length > 0 && {
          spilled: spilled.map((address) => reader.locate(address, current.references)),
        }),
        entries: wanted.map(({ segments }, at) => ({
          body: bodies[at] as Uint8Array,
          segments: segments.map((address) => reader.locate(address, current.references)),
        })),
      };
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      // A spilled body is gone because the manifest has changed, or it is lost (rule
      // `reread-before-corruption`).
      const now = await manifests.read(key);
      if (now.etag === etag) throw new VarveError('CORRUPT', error.message, { cause: error });
    }
  }
}
