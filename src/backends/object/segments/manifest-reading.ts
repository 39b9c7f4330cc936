import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isVarveError, VarveError } from '../../../core/errors.ts';
import type {
  Locator,
  ManifestKey,
  ReadManifestOptions,
  StoredEntry,
  StoredManifest,
} from '../../contract/manifests.ts';
import { manifestObjectKey } from '../format/keys.ts';
import { headOfRecord, type RecordEntry, type Reference } from '../format/manifest-record.ts';
import type { PageContent } from '../format/page.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { SegmentReader } from './segment-reader.ts';

/** Entries, and the references that they need. */
interface Part {
  readonly entries: readonly RecordEntry[];
  readonly references: ReadonlyMap<Address, Reference>;
}

/** A manifest with its bodies, the spilled ones included; `undefined` when there is none. */
export async function readManifest(
  { manifests, pages }: Pick<Protocol, 'manifests' | 'pages'>,
  reader: SegmentReader,
  key: ManifestKey,
  entries: ReadManifestOptions['entries'] = 'all',
): Promise<StoredManifest | undefined> {
  for (;;) {
    const { record, etag } = await manifests.read(key);
    const current = record?.current;
    if (current === undefined) return undefined;
    try {
      const { references } = current;
      const addresses = entries === 'newest' ? [] : current.pages.map(({ address }) => address);
      const contents = await pages.readAll(manifestObjectKey(key), current, addresses);
      const newest = entries === 'newest' ? current.entries.slice(-1) : current.entries;
      const parts = await mapAll(
        [...contents.map(partOf), { entries: newest, references }],
        (part) => readPart(reader, part),
      );
      const spilled = new Set([
        ...addresses.map((address) => reader.locate(address, references)),
        ...parts.flatMap((part) => part.spilled),
      ]);
      return {
        ...headOfRecord(key, current),
        ...(spilled.size > 0 && { spilled: [...spilled] }),
        entries: parts.flatMap((part) => part.entries),
      };
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      // A page or a spilled body is gone because the manifest has changed, or it is lost (rule
      // `reread-before-corruption`).
      const now = await manifests.read(key);
      if (now.etag === etag) throw new VarveError('CORRUPT', error.message, { cause: error });
    }
  }
}

function partOf({ entries, references }: PageContent): Part {
  return {
    entries,
    references: new Map(references.map(({ address, ...reference }) => [address, reference])),
  };
}

async function readPart(
  reader: SegmentReader,
  { entries, references }: Part,
): Promise<{ readonly entries: readonly StoredEntry[]; readonly spilled: readonly Locator[] }> {
  const locate = (address: Address) => reader.locate(address, references);
  const bodies = await reader.bodies(entries, references);
  const spilled = entries.flatMap(({ body }) => (body.kind === 'spilled' ? body.parts : []));
  return {
    entries: entries.map(({ segments }, at) => ({
      body: bodies[at] as Uint8Array,
      segments: segments.map(locate),
    })),
    spilled: [...new Set(spilled.map(({ address }) => address))].map(locate),
  };
}
