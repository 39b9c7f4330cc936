import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions } from '../../backends/contract/maintenance.ts';
import {
  type Locator,
  MANIFEST_KINDS,
  type ManifestFields,
  type ManifestHead,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
  type NewEntry,
  type NewSegment,
  type PutWrite,
  type StoredEntry,
  type StoredManifest,
  type WriteOutcome,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { isUnreadable, isVarveError, type VarveError } from '../../core/errors.ts';

/** Manifests that are read and committed together. */
const TOGETHER = 64;

/** A manifest of more bytes goes by itself, as a stream. */
const LARGE_BYTES = 1024 * 1024;

/** Segments of one stream in memory at once. */
const WINDOW_SEGMENTS = 64;

/** How often a manifest is read anew because it changed and what it was made of is gone. */
const ATTEMPTS = 5;

/** What a replication came to. */
export interface ReplicationReport {
  /** That are in the target now. */
  readonly manifests: number;
  /** Of these, how many were not there as they are. */
  readonly changed: number;
  /** That were in the target and not in the source. */
  readonly deleted: number;
  /** Canonical bytes of segments that the target lacked. */
  readonly copiedBytes: number;
  /** That cannot be read; the target keeps what it has of them. */
  readonly unreadable: readonly ManifestKey[];
  /** Present when there are more of those, of which not even the ids are known: why. */
  readonly listFault: VarveError | undefined;
}

/**
 * Makes one store hold what another holds: every manifest with its entries, fields and hold, and no
 * others. Each manifest is copied as it is at one moment, while the source is written to; what the
 * target has already is not asked of the source again. Revisions, times of update and idempotency
 * keys are each store's own; the order of archiving is the source's in a target that was empty.
 */
export class Replication {
  readonly #source: Backend;
  readonly #target: Backend;
  readonly #options: BackupOptions;
  readonly #unreadable: ManifestKey[] = [];
  /** What keeps a manifest from being listed, so that not even its id is known. */
  #listFault: VarveError | undefined;
  readonly #tally = { manifests: 0, changed: 0, deleted: 0, copiedBytes: 0 };

  constructor(source: Backend, target: Backend, options: BackupOptions = {}) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  async run(): Promise<ReplicationReport> {
    for (const kind of MANIFEST_KINDS) await this.#copyKind(kind);
    return { ...this.#tally, unreadable: this.#unreadable, listFault: this.#listFault };
  }

  async #copyKind(kind: ManifestKind): Promise<void> {
    const present = new Set<string>();
    let batch: ManifestHead[] = [];
    const next = async () => {
      const copied = batch;
      batch = [];
      for (const id of await this.#copy(copied)) present.add(id);
      const { manifests } = this.#tally;
      this.#options.onProgress?.({ phase: `copy ${kind}s`, done: manifests, total: manifests });
    };
    let isListWhole = true;
    try {
      for await (const head of this.#source.list(kind, {}, this.#abort)) {
        batch.push(head);
        if (batch.length === TOGETHER) await next();
      }
    } catch (error) {
      // A list ends with an error where manifests cannot be read, after all that can.
      if (!isUnreadable(error)) throw error;
      isListWhole = false;
      this.#listFault ??= error;
    }
    await next();
    if (isListWhole) await this.#deleteOthers(kind, present);
  }

  /** Copies in the order given. Returns the ids that are in the source still. */
  async #copy(heads: readonly ManifestHead[]): Promise<string[]> {
    const present: string[] = [];
    let small: ManifestKey[] = [];
    for (const { key, logicalBytes } of heads) {
      if (logicalBytes <= LARGE_BYTES) small.push(key);
      else {
        present.push(...(await this.#copySmall(small)));
        small = [];
        if (await this.#retried(key, () => this.#copyLarge(key))) present.push(key.id);
      }
    }
    return [...present, ...(await this.#copySmall(small))];
  }

  async #copySmall(keys: readonly ManifestKey[]): Promise<string[]> {
    throwIfAborted(this.#options.signal);
    if (keys.length === 0) return [];
    try {
      const manifests = (await this.#source.read(keys, this.#abort)).filter(
        (manifest) => manifest !== undefined,
      );
      const entries = await this.#entriesOf(manifests.flatMap((manifest) => manifest.entries));
      let first = 0;
      const writes = manifests.map((manifest): PutWrite => {
        const own = entries.slice(first, first + manifest.entries.length);
        first += manifest.entries.length;
        return { ...putOf(manifest), fields: fieldsOf(manifest), entries: own };
      });
      await this.#store(manifests, writes, await this.#target.commit(writes, this.#abort));
      return manifests.map(({ key }) => key.id);
    } catch (error) {
      // One of them is damaged, or has changed: each by itself tells which.
      if (!isUnreadable(error) && !isVarveError(error, 'NOT_FOUND')) throw error;
      const present: string[] = [];
      for (const key of keys)
        if (await this.#retried(key, () => this.#copyLarge(key))) present.push(key.id);
      return present;
    }
  }

  /** Streams one manifest. Returns whether the source has it. */
  async #copyLarge(key: ManifestKey): Promise<boolean> {
    throwIfAborted(this.#options.signal);
    const [manifest] = await this.#source.read([key], this.#abort);
    if (manifest === undefined) return false;
    const write = putOf(manifest);
    const stream = () =>
      this.#target.publish(write, this.#windows(manifest), () => fieldsOf(manifest), this.#abort);
    let outcome = await stream();
    if (isHeld(outcome)) {
      await this.#target.commit([{ operation: 'hold', key, held: false }], this.#abort);
      outcome = await stream();
    }
    await this.#store([manifest], [], [outcome]);
    return true;
  }

  /**
   * Tells damage, and reads anew what has changed. Returns whether the source has the manifest, or
   * may have it.
   */
  async #retried(key: ManifestKey, copy: () => Promise<boolean>): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await copy();
      } catch (error) {
        if (isVarveError(error, 'NOT_FOUND') && attempt < ATTEMPTS) continue;
        if (!isUnreadable(error)) throw error;
        this.#unreadable.push(key);
        return true;
      }
    }
  }

  async *#windows({ entries }: StoredManifest): AsyncGenerator<NewEntry, void, undefined> {
    let window: StoredEntry[] = [];
    let segments = 0;
    for (const [at, entry] of entries.entries()) {
      window.push(entry);
      segments += entry.segments.length;
      if (segments < WINDOW_SEGMENTS && at < entries.length - 1) continue;
      yield* await this.#entriesOf(window);
      window = [];
      segments = 0;
    }
  }

  /** Stored entries as those to be written; bytes are fetched of what the target lacks. */
  async #entriesOf(entries: readonly StoredEntry[]): Promise<NewEntry[]> {
    const locators = [...new Set(entries.flatMap(({ segments }) => segments))];
    const addresses = await this.#source.addresses(locators, this.#abort);
    const stored = await this.#target.find(addresses, this.#abort);
    const segments = new Map<Locator, NewSegment>();
    const missing: { readonly locator: Locator; readonly address: Address }[] = [];
    const present: { readonly locator: Locator; readonly there: Locator }[] = [];
    for (const [at, locator] of locators.entries()) {
      const there = stored[at];
      if (there === undefined) missing.push({ locator, address: addresses[at] as Address });
      else present.push({ locator, there });
    }
    const known = await this.#target.describe(
      present.map(({ there }) => there),
      this.#abort,
    );
    for (const [at, { locator }] of present.entries()) {
      const { address, encoding } = known[at] as (typeof known)[number];
      segments.set(locator, { address, encoding, bytes: null });
    }
    const wanted = missing.map(({ locator }) => locator);
    const [descriptions, contents] = await Promise.all([
      this.#source.describe(wanted, this.#abort),
      this.#source.fetch(wanted, this.#abort),
    ]);
    for (const [at, { locator, address }] of missing.entries()) {
      const bytes = contents[at] as Uint8Array;
      this.#tally.copiedBytes += bytes.length;
      segments.set(locator, {
        address,
        encoding: descriptions[at]?.encoding ?? 'bytes',
        bytes: () => bytes,
      });
    }
    return entries.map((entry) => ({
      body: entry.body,
      segments: entry.segments.map((locator) => segments.get(locator) as NewSegment),
    }));
  }

  /** Sees to it that what was written is there, and held as in the source. */
  async #store(
    manifests: readonly StoredManifest[],
    writes: readonly PutWrite[],
    outcomes: readonly WriteOutcome[],
  ): Promise<void> {
    const heads = await this.#target.heads(
      manifests.map(({ key }) => key),
      this.#abort,
    );
    for (const [at, { key, hold }] of manifests.entries()) {
      const outcome = outcomes[at] as WriteOutcome;
      const wasHeld = heads[at]?.hold;
      const steps: ManifestWrite[] = [];
      if (isHeld(outcome))
        steps.push({ operation: 'hold', key, held: false }, writes[at] as PutWrite);
      else if (outcome.status === 'failed') throw outcome.error;
      else if (wasHeld !== undefined && hold === undefined)
        steps.push({ operation: 'hold', key, held: false });
      const mustHold =
        hold !== undefined &&
        (isHeld(outcome) || wasHeld === undefined || wasHeld.reason !== hold.reason);
      if (mustHold) {
        steps.push({
          operation: 'hold',
          key,
          held: true,
          ...(hold.reason !== undefined && { reason: hold.reason }),
        });
      }
      for (const step of steps.length === 0 ? [] : await this.#target.commit(steps, this.#abort)) {
        if (step.status === 'failed') throw step.error;
      }
      this.#tally.manifests++;
      if (outcome.status !== 'unchanged' || steps.length > 0) this.#tally.changed++;
    }
  }

  async #deleteOthers(kind: ManifestKind, present: ReadonlySet<string>): Promise<void> {
    const others: ManifestKey[] = [];
    for await (const { key } of this.#target.list(kind, {}, this.#abort))
      if (!present.has(key.id)) others.push(key);
    for (let start = 0; start < others.length; start += TOGETHER) {
      const keys = others.slice(start, start + TOGETHER);
      const writes = keys.flatMap((key): ManifestWrite[] => [
        { operation: 'hold', key, held: false },
        { operation: 'delete', key },
      ]);
      for (const outcome of await this.#target.commit(writes, this.#abort)) {
        if (outcome.status === 'failed') throw outcome.error;
      }
      this.#tally.deleted += keys.length;
    }
  }

  get #abort(): AbortOptions {
    const { signal } = this.#options;
    return signal === undefined ? {} : { signal };
  }
}

function putOf({ key }: ManifestHead): Omit<PutWrite, 'entries' | 'fields'> {
  return { operation: 'put', key, ifExists: 'replace' };
}

function fieldsOf({
  application,
  model,
  createdAt,
  expiresAt,
  logicalBytes,
}: ManifestHead): ManifestFields {
  return {
    createdAt,
    logicalBytes,
    // Older versions took ill-formed names for objects; a directory stored them like this.
    ...(application !== undefined && { application: application.toWellFormed() }),
    ...(model !== undefined && { model: model.toWellFormed() }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

function isHeld(outcome: WriteOutcome): boolean {
  return outcome.status === 'failed' && outcome.error.code === 'HELD';
}
