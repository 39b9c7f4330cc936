import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, isVarveError, type VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { listObjects, listPages } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { manifestsPrefix, rollupsPrefix } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import { type ListedManifest, listed, newestOf } from '../format/rollup.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { ListMemory } from './list-memory.ts';
import { readRollups, type WrittenRollup, writeRollups } from './rollup-objects.ts';

/** What a list of one kind of manifests found. */
export interface ManifestListing {
  readonly manifests: readonly ListedManifest[];
  /** Records that somebody is working on, or left unfinished. */
  readonly unsettled: readonly SeenRecord[];
  /** The error of each unreadable manifest. */
  readonly unreadable: readonly VarveError[];
}

/** This many new heads are written as a rollup. */
const ROLLUP_HEADS = 256;

/** A reader that had to look up this many heads stores them for the next one. */
const WORTHWHILE_HEADS = 16;

/** This many rollups that are small, or mostly stale, are merged. */
const MERGED_ROLLUPS = 16;

/** A rollup with fewer bytes is small. */
const SMALL_ROLLUP_BYTES = 1024 * 1024;

/** Most rollups that a writer, which has no heads in memory, merges at once. */
const MOST_MERGED = 256;

/**
 * Lists manifests without reading them. A LIST shows the tag of every manifest's object; *rollups*
 * contain the heads of many, each with the tag of its body. A head is valid only under that tag, so
 * a rollup is never wrong, only out of date, and only manifests whose tag no rollup has are read.
 * Writers store a rollup every few hundred manifests, readers store what they had to look up;
 * merging drops what is out of date, and all rollups may be deleted at any time.
 */
export class ListIndex {
  readonly #protocol: Protocol;
  readonly #isWritable: boolean;
  readonly #known: ListMemory['known'];
  readonly #read: ListMemory['read'];
  readonly #unwritten: ListMemory['unwritten'];
  readonly #unmerged: ListMemory['unmerged'];

  constructor(
    protocol: Protocol,
    isWritable: boolean,
    { known, read, unwritten, unmerged }: ListMemory,
  ) {
    this.#protocol = protocol;
    this.#isWritable = isWritable;
    this.#known = known;
    this.#read = read;
    this.#unwritten = unwritten;
    this.#unmerged = unmerged;
  }

  /** Remembers what this process committed. */
  note(objectKey: string, record: ManifestRecord, etag: string | undefined): void {
    if (etag === undefined || !isSettled(record)) return;
    this.#unwritten[record.key.kind].set(objectKey, listed(objectKey, etag, record));
  }

  /** Writes the remembered heads, once that pays; with `isLast`, whenever it pays at all. */
  async flush(isLast = false): Promise<void> {
    if (!this.#isWritable) return;
    for (const kind of MANIFEST_KINDS) {
      if (this.#unwritten[kind].size >= (isLast ? WORTHWHILE_HEADS : ROLLUP_HEADS))
        await this.#write(kind);
      const isDue = this.#unmerged[kind] >= (isLast ? 1 : MERGED_ROLLUPS);
      if (isDue) await this.#mergeUnread(kind);
    }
  }

  /** Every readable manifest of a kind, without tombstones, in no particular order. */
  async all(kind: ManifestKind, options: AbortOptions = {}): Promise<readonly ListedManifest[]> {
    return (await this.list(kind, options)).manifests;
  }

  /** As {@link all}, with unsettled and unreadable manifests. */
  async list(kind: ManifestKind, options: AbortOptions = {}): Promise<ManifestListing> {
    const rollups = await this.#readRollups(kind, options);
    const known = this.#known[kind];
    const manifests: ListedManifest[] = [];
    const unknown: ListedObject[] = [];
    const seen = new Set<string>();
    for await (const page of listPages(this.#protocol, manifestsPrefix(kind), options)) {
      for (const object of page) {
        seen.add(object.etag);
        const own = this.#unwritten[kind].get(object.key);
        const entry = own?.etag === object.etag ? own : known.get(object.etag);
        if (entry?.objectKey === object.key) manifests.push(entry);
        else unknown.push(object);
      }
    }
    for (const etag of known.keys()) if (!seen.has(etag)) known.delete(etag);
    const unreadable: VarveError[] = [];
    const looked = await mapAll(unknown, ({ key }) =>
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
    if (this.#isWritable) {
      if (this.#unwritten[kind].size >= WORTHWHILE_HEADS)
        this.#learn(kind, await this.#write(kind));
      await this.#mergeRead(kind, rollups);
    }
    return { manifests: manifests.filter(({ head }) => head !== undefined), unsettled, unreadable };
  }

  /** Drops everything remembered, including deleted manifests. Lists rebuild it. */
  async erase(): Promise<void> {
    for (const kind of MANIFEST_KINDS) {
      this.#known[kind].clear();
      this.#unwritten[kind].clear();
      for await (const page of listPages(this.#protocol, rollupsPrefix(kind))) {
        await deleteAll(
          this.#protocol.store,
          page.map(({ key }) => key),
        );
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
    // A record that somebody is working on will soon have another body.
    if (isSettled(record)) this.#unwritten[kind].set(objectKey, entry);
    return { entry, seen };
  }

  /** Reads every rollup that is stored and was not read. Returns all that are stored. */
  async #readRollups(kind: ManifestKind, { signal }: AbortOptions): Promise<ListedObject[]> {
    const rollups: ListedObject[] = [];
    for await (const rollup of listObjects(this.#protocol, rollupsPrefix(kind), abortOf(signal)))
      rollups.push(rollup);
    const unread = rollups.filter(({ key }) => !this.#read.has(key));
    for await (const rollup of readRollups(this.#protocol, unread, signal))
      this.#learn(kind, [rollup]);
    return rollups;
  }

  /** Only lists learn, because they also drop what is out of date. */
  #learn(kind: ManifestKind, rollups: Iterable<WrittenRollup>): void {
    for (const { key: rollup, entries } of rollups) {
      for (const entry of entries) this.#known[kind].set(entry.etag, { ...entry, rollup });
      this.#read.set(rollup, entries.length);
    }
  }

  async #write(kind: ManifestKind): Promise<readonly WrittenRollup[]> {
    const entries = [...this.#unwritten[kind].values()];
    this.#unwritten[kind].clear();
    this.#unmerged[kind]++;
    return (await writeRollups(this.#protocol, kind, entries)).written;
  }

  /** Merges by what a LIST has just confirmed: everything else in these rollups is out of date. */
  async #mergeRead(kind: ManifestKind, rollups: readonly ListedObject[]): Promise<void> {
    const known = [...this.#known[kind].values()];
    const live = new Map<string, number>();
    for (const { rollup } of known) live.set(rollup, (live.get(rollup) ?? 0) + 1);
    const due = rollups
      .filter(
        ({ key, size }) =>
          size < SMALL_ROLLUP_BYTES || 2 * (live.get(key) ?? 0) <= (this.#read.get(key) ?? 0),
      )
      .map(({ key }) => key);
    if (due.length < MERGED_ROLLUPS) return;
    const merged = new Set(due);
    const entries = known.filter(({ rollup }) => merged.has(rollup));
    this.#learn(kind, await this.#replace(kind, due, entries));
  }

  /** Merges small rollups for pure readers, without a LIST of all manifests. */
  async #mergeUnread(kind: ManifestKind): Promise<void> {
    this.#unmerged[kind] = 0;
    const small: ListedObject[] = [];
    for await (const rollup of listObjects(this.#protocol, rollupsPrefix(kind))) {
      if (rollup.size < SMALL_ROLLUP_BYTES) small.push(rollup);
    }
    while (small.length >= MERGED_ROLLUPS) {
      const merged = small.splice(0, MOST_MERGED);
      const entries: ListedManifest[] = [];
      for await (const read of readRollups(this.#protocol, merged)) entries.push(...read.entries);
      await this.#replace(
        kind,
        merged.map(({ key }) => key),
        newestOf(entries),
      );
    }
  }

  /** Stores the merged rollup before it deletes those that it replaces. */
  async #replace(
    kind: ManifestKind,
    rollups: readonly string[],
    entries: readonly ListedManifest[],
  ): Promise<readonly WrittenRollup[]> {
    const { written, isWhole } = await writeRollups(this.#protocol, kind, entries);
    if (!isWhole) return written;
    try {
      await deleteAll(this.#protocol.store, rollups);
    } catch (error) {
      // Remaining ones cost reads, nothing else.
      if (!isVarveError(error)) throw error;
    }
    for (const key of rollups) this.#read.delete(key);
    return written;
  }
}

function isSettled({ pending, dropped }: ManifestRecord): boolean {
  return pending.length === 0 && dropped.length === 0;
}
