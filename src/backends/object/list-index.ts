import { z } from 'zod';
import { isUnreadable, VarveError } from '../../errors.ts';
import { decodeFrame, encodeFrame } from '../../frame.ts';
import type { AbortOptions, ManifestHead, ManifestKind } from '../manifests.ts';
import { manifestsPrefix, rollupsPrefix } from './keys.ts';
import { listObjects, listPages } from './listing.ts';
import { type ArchivedAt, headOfRecord, type ManifestRecord } from './manifest-record.ts';
import type { SeenRecord } from './manifest-table.ts';
import type { ListedObject } from './object-store.ts';
import { abortOf, forEach, type Protocol } from './protocol.ts';

/** What a list needs of a manifest, and the tag of the body that says so. */
export interface ListedManifest {
  readonly objectKey: string;
  readonly etag: string;
  /** `undefined`: a tombstone. */
  readonly head: (ManifestHead & { readonly archived: ArchivedAt }) | undefined;
}

export interface ManifestSurvey {
  readonly manifests: readonly ListedManifest[];
  /** Records that somebody is at work on, or left in the middle of it. */
  readonly unsettled: readonly SeenRecord[];
  /** What keeps a manifest from being read, for each that cannot be. */
  readonly unreadable: readonly VarveError[];
}

/** New heads are written as a rollup once there are so many. */
const ROLLUP_HEADS = 256;

/** A reader that had to look up so many heads leaves them for the next one. */
const WORTHWHILE_HEADS = 16;

/** So many rollups are merged into one. */
const MERGED_ROLLUPS = 16;

/** Most heads in one rollup: bounds what is held at once. */
const MAX_ROLLUP_HEADS = 50_000;

const ROLLUP = z.object({
  v: z.literal(1),
  heads: z.array(z.tuple([z.string(), z.string(), z.looseObject({}).nullable()])),
});

/**
 * Lists manifests without reading them. A LIST tells the tag of every manifest's object; *rollups* tell the heads of many,
 * each with the tag of the body it is of. Only manifests whose tag no rollup knows are read. So a rollup is never wrong, only out of
 * date: writers leave one every few hundred manifests, readers leave what they had to look up, and all of them may be deleted at any time.
 */
export class ListIndex {
  readonly #protocol: Protocol;
  readonly #isWritable: boolean;
  readonly #known: Record<ManifestKind, Map<string, ListedManifest>> = {
    conversation: new Map(),
    blob: new Map(),
    pin: new Map(),
  };
  /** Keys of rollups that were read. */
  readonly #read = new Set<string>();
  readonly #unwritten: Record<ManifestKind, Map<string, ListedManifest>> = {
    conversation: new Map(),
    blob: new Map(),
    pin: new Map(),
  };

  constructor(protocol: Protocol, isWritable: boolean) {
    this.#protocol = protocol;
    this.#isWritable = isWritable;
  }

  /** Takes note of what this process committed. */
  note(objectKey: string, record: ManifestRecord, etag: string | undefined): void {
    if (etag === undefined || !isSettled(record)) return;
    this.#unwritten[record.key.kind].set(objectKey, listed(objectKey, etag, record));
  }

  /** Writes what was noted, once that pays; `isLast`: as long as it pays at all. */
  async flush(isLast = false): Promise<void> {
    if (!this.#isWritable) return;
    for (const kind of ['conversation', 'blob', 'pin'] as const) {
      if (this.#unwritten[kind].size >= (isLast ? WORTHWHILE_HEADS : ROLLUP_HEADS)) await this.#write(kind);
    }
  }

  /** Every manifest of a kind that can be read, tombstones left out, in no particular order. */
  async all(kind: ManifestKind, options: AbortOptions = {}): Promise<readonly ListedManifest[]> {
    return (await this.survey(kind, options)).manifests;
  }

  /** As {@link all}, and what is not as a manifest at rest is. */
  async survey(kind: ManifestKind, options: AbortOptions = {}): Promise<ManifestSurvey> {
    await this.#readRollups(kind, options);
    const known = this.#known[kind];
    const manifests: ListedManifest[] = [];
    const unknown: ListedObject[] = [];
    const seen = new Set<string>();
    for await (const page of listPages(this.#protocol, manifestsPrefix(kind), options)) {
      for (const object of page) {
        seen.add(object.key);
        const own = this.#unwritten[kind].get(object.key);
        const entry = own?.etag === object.etag ? own : known.get(object.key);
        if (entry?.etag === object.etag) manifests.push(entry);
        else unknown.push(object);
      }
    }
    for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    const unreadable: VarveError[] = [];
    const looked = await forEach(unknown, ({ key }) =>
      this.#look(kind, key, options).catch((error: unknown) => {
        if (!isUnreadable(error)) throw error;
        unreadable.push(error);
        return undefined;
      }),
    );
    const unsettled: SeenRecord[] = [];
    for (const { entry, seen } of looked.filter((each) => each !== undefined)) {
      if (entry !== undefined) manifests.push(entry);
      if (seen.record !== undefined && !isSettled(seen.record)) unsettled.push(seen);
    }
    if (this.#unwritten[kind].size >= WORTHWHILE_HEADS && this.#isWritable) await this.#write(kind);
    return { manifests: manifests.filter(({ head }) => head !== undefined), unsettled, unreadable };
  }

  /** Drops everything that is remembered: of what was deleted, too. Lists make it again. */
  async erase(): Promise<void> {
    for (const kind of ['conversation', 'blob', 'pin'] as const) {
      this.#known[kind].clear();
      this.#unwritten[kind].clear();
      for await (const page of listPages(this.#protocol, rollupsPrefix(kind))) {
        await this.#protocol.store.delete(page.map(({ key }) => key));
      }
    }
    this.#read.clear();
  }

  async #look(
    kind: ManifestKind,
    objectKey: string,
    { signal }: AbortOptions,
  ): Promise<{ entry: ListedManifest | undefined; seen: SeenRecord }> {
    const seen = await this.#protocol.manifests.readObject(objectKey, undefined, abortOf(signal));
    const { record, etag } = seen;
    if (record === undefined || etag === undefined) return { entry: undefined, seen };
    const entry = listed(objectKey, etag, record);
    // What somebody is at work on will have another body soon.
    if (isSettled(record)) this.#unwritten[kind].set(objectKey, entry);
    return { entry, seen };
  }

  async #readRollups(kind: ManifestKind, { signal }: AbortOptions): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of listObjects(this.#protocol, rollupsPrefix(kind), abortOf(signal))) keys.push(key);
    const unread = keys.filter((key) => !this.#read.has(key));
    for (const key of unread) {
      const object = await this.#protocol.store.get(key, abortOf(signal));
      if (object !== undefined) for (const entry of decodeRollup(object.body, key)) this.#learn(kind, entry);
      this.#read.add(key);
    }
    if (keys.length >= MERGED_ROLLUPS && this.#isWritable) await this.#merge(kind, keys);
  }

  #learn(kind: ManifestKind, entry: ListedManifest): void {
    this.#known[kind].set(entry.objectKey, entry);
  }

  async #write(kind: ManifestKind): Promise<void> {
    const entries = [...this.#unwritten[kind].values()];
    this.#unwritten[kind].clear();
    for (const entry of entries) this.#learn(kind, entry);
    await this.#put(kind, entries);
  }

  /** The merged rollup is stored before those it stands for go. */
  async #merge(kind: ManifestKind, keys: readonly string[]): Promise<void> {
    if (await this.#put(kind, [...this.#known[kind].values()])) await this.#protocol.store.delete(keys);
  }

  /** Returns whether all was stored; a rollup that is not costs reads later, nothing else. */
  async #put(kind: ManifestKind, entries: readonly ListedManifest[]): Promise<boolean> {
    for (let start = 0; start < entries.length; start += MAX_ROLLUP_HEADS) {
      const key = `${rollupsPrefix(kind)}${this.#protocol.randomness.nonce()}`;
      const body = encodeRollup(entries.slice(start, start + MAX_ROLLUP_HEADS));
      try {
        const result = await this.#protocol.store.put(key, body, { kind: 'absent' });
        if (result.outcome !== 'stored') return false;
        this.#read.add(key);
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        return false;
      }
    }
    return true;
  }
}

function isSettled({ pending, releasing }: ManifestRecord): boolean {
  return pending.length === 0 && releasing.length === 0;
}

function listed(objectKey: string, etag: string, { key, current }: ManifestRecord): ListedManifest {
  const head = current && { ...headOfRecord(key, current), archived: current.archived };
  return { objectKey, etag, head };
}

function encodeRollup(entries: readonly ListedManifest[]): Buffer {
  const heads = entries.map(({ objectKey, etag, head }) => [objectKey, etag, head ?? null]);
  return encodeFrame(Buffer.from(JSON.stringify({ v: 1, heads })), { checksum: true });
}

/** A rollup that cannot be read is as good as none. */
function decodeRollup(body: Uint8Array, key: string): ListedManifest[] {
  try {
    const { heads } = ROLLUP.parse(JSON.parse(Buffer.from(decodeFrame(body, key)).toString('utf8')));
    return heads.map(([objectKey, etag, head]) => ({
      objectKey,
      etag,
      head: (head ?? undefined) as ListedManifest['head'],
    }));
  } catch {
    return [];
  }
}
