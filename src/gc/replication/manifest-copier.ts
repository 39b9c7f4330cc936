import type { Backend } from '../../backends/contract/backend.ts';
import type {
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestWrite,
  PutWrite,
  StoredManifest,
  WriteOutcome,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { isUnreadable, isVarveError } from '../../core/errors.ts';
import type { CopiedManifests } from './copied-manifests.ts';
import { EntryCopier } from './entry-copier.ts';

/** A manifest of more bytes is copied by itself, as a stream. */
const LARGE_BYTES = 1024 * 1024;

/** How often a manifest is read again because it changed while it was copied. */
const ATTEMPTS = 5;

/** Copies manifests from one store to another. */
export class ManifestCopier {
  /** Keys of manifests that cannot be read. */
  readonly unreadable: ManifestKey[] = [];
  readonly #source: Backend;
  readonly #target: Backend;
  readonly #copied: CopiedManifests;
  readonly #abort: AbortOptions;
  readonly #entries: EntryCopier;
  readonly #counts = { manifests: 0, changed: 0 };

  /** @param copied what is known to be in the target already. */
  constructor(source: Backend, target: Backend, copied: CopiedManifests, abort: AbortOptions) {
    this.#source = source;
    this.#target = target;
    this.#copied = copied;
    this.#abort = abort;
    this.#entries = new EntryCopier(source, target, abort);
  }

  /** Counts of what was copied so far. */
  get tally() {
    return { ...this.#counts, copiedBytes: this.#entries.copiedBytes };
  }

  /** Copies in the order given. Returns the ids that the source still has. */
  async copy(heads: readonly ManifestHead[]): Promise<string[]> {
    const present: string[] = [];
    let small: ManifestKey[] = [];
    const isCopied = await this.#findCopied(heads);
    for (const [at, { key, logicalBytes }] of heads.entries()) {
      if (isCopied[at]) {
        present.push(key.id);
        this.#counts.manifests++;
      } else if (logicalBytes <= LARGE_BYTES) small.push(key);
      else {
        present.push(...(await this.#copySmall(small)));
        small = [];
        if (await this.#copyAlone(key)) present.push(key.id);
      }
    }
    return [...present, ...(await this.#copySmall(small))];
  }

  /** Which of them the target is known to have as they are now, and can read. */
  async #findCopied(heads: readonly ManifestHead[]): Promise<boolean[]> {
    try {
      const keys = heads.map(({ key }) => key);
      // The manifests and not only their heads, so that a copy that lost files is noticed.
      const stored = this.#copied.isEmpty ? [] : await this.#target.read(keys, this.#abort);
      return heads.map((head, at) => {
        const there = stored[at];
        return there !== undefined && this.#copied.has(head, there);
      });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      // Copying them finds out which.
      return [];
    }
  }

  /** Copies manifests together, in one commit. */
  async #copySmall(keys: readonly ManifestKey[]): Promise<string[]> {
    throwIfAborted(this.#abort.signal);
    if (keys.length === 0) return [];
    try {
      const manifests = (await this.#source.read(keys, this.#abort)).filter(
        (manifest) => manifest !== undefined,
      );
      const entries = await this.#entries.copy(manifests.flatMap((manifest) => manifest.entries));
      let first = 0;
      const writes = manifests.map((manifest): PutWrite => {
        const own = entries.slice(first, first + manifest.entries.length);
        first += manifest.entries.length;
        return { ...putOf(manifest), fields: fieldsOf(manifest), entries: own };
      });
      await this.#settle(manifests, writes, await this.#target.commit(writes, this.#abort));
      return manifests.map(({ key }) => key.id);
    } catch (error) {
      // One of them is damaged or has changed: copying each by itself shows which.
      if (!isUnreadable(error) && !isVarveError(error, 'NOT_FOUND')) throw error;
      const present: string[] = [];
      for (const key of keys) if (await this.#copyAlone(key)) present.push(key.id);
      return present;
    }
  }

  /**
   * Copies one manifest, again when it has changed meanwhile; records one that cannot be read.
   * Returns whether the source has the manifest, or may have it.
   */
  async #copyAlone(key: ManifestKey): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#stream(key);
      } catch (error) {
        if (isVarveError(error, 'NOT_FOUND') && attempt < ATTEMPTS) continue;
        if (!isUnreadable(error)) throw error;
        this.unreadable.push(key);
        return true;
      }
    }
  }

  /** Streams one manifest. Returns whether the source has it. */
  async #stream(key: ManifestKey): Promise<boolean> {
    throwIfAborted(this.#abort.signal);
    const [manifest] = await this.#source.read([key], this.#abort);
    if (manifest === undefined) return false;
    const publish = () =>
      this.#target.publish(
        putOf(manifest),
        this.#entries.stream(manifest.entries),
        () => fieldsOf(manifest),
        this.#abort,
      );
    let outcome = await publish();
    if (isHeld(outcome)) {
      await this.#target.commit([{ operation: 'hold', key, held: false }], this.#abort);
      outcome = await publish();
    }
    await this.#settle([manifest], [], [outcome]);
    return true;
  }

  /**
   * Makes sure that each manifest is in the target, and held there exactly if the source holds it.
   */
  async #settle(
    manifests: readonly StoredManifest[],
    writes: readonly PutWrite[],
    outcomes: readonly WriteOutcome[],
  ): Promise<void> {
    const heads = await this.#target.heads(
      manifests.map(({ key }) => key),
      this.#abort,
    );
    const allSteps: ManifestWrite[] = [];
    for (const [at, manifest] of manifests.entries()) {
      const outcome = outcomes[at] as WriteOutcome;
      const steps = holdSteps(manifest, heads[at]?.hold, outcome, writes[at]);
      allSteps.push(...steps);
      const head = heads[at];
      if (steps.length === 0 && head !== undefined && isResult(outcome, head))
        this.#copied.add(manifest, head);
      this.#counts.manifests++;
      if (outcome.status !== 'unchanged' || steps.length > 0) this.#counts.changed++;
    }
    if (allSteps.length === 0) return;
    for (const step of await this.#target.commit(allSteps, this.#abort))
      if (step.status === 'failed') throw step.error;
  }
}

/**
 * The writes that bring a manifest's hold in the target in line with the source. A put that a hold
 * refused is repeated once the hold is released.
 *
 * @param there the hold in the target.
 * @param write what was put; `undefined` for a stream, which nothing refused.
 */
function holdSteps(
  { key, hold }: StoredManifest,
  there: ManifestHead['hold'],
  outcome: WriteOutcome,
  write: PutWrite | undefined,
): ManifestWrite[] {
  const isRefused = isHeld(outcome);
  if (outcome.status === 'failed' && !isRefused) throw outcome.error;
  const release: ManifestWrite = { operation: 'hold', key, held: false };
  const steps: ManifestWrite[] = [];
  if (isRefused) steps.push(release, write as PutWrite);
  else if (there !== undefined && hold === undefined) steps.push(release);
  const isToHold =
    hold !== undefined && (isRefused || there === undefined || there.reason !== hold.reason);
  if (isToHold) {
    const { reason } = hold;
    steps.push({ operation: 'hold', key, held: true, ...(reason !== undefined && { reason }) });
  }
  return steps;
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
    // Older versions accepted ill-formed names on objects; a directory stores them like this.
    ...(application !== undefined && { application: application.toWellFormed() }),
    ...(model !== undefined && { model: model.toWellFormed() }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

/** Whether a head is of what a write made, or found to be there. */
function isResult(outcome: WriteOutcome, { revision }: ManifestHead): boolean {
  return outcome.status !== 'failed' && outcome.revision === revision;
}

function isHeld(outcome: WriteOutcome): boolean {
  return outcome.status === 'failed' && outcome.error.code === 'HELD';
}
