import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { isWriterAlive, WriterLock } from '../database/writer-lock.ts';
import { PackAppender } from '../files/pack-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { PackTable } from './pack-table.ts';

/** Somebody else sealed the pack since its owner appended last. */
class PackRevoked extends Error {}

/**
 * Gives this process a pack to append to. A **pack** is a file that blocks are appended to. One
 * process **owns** an open pack, under the name of a lock that it holds while it lives; a
 * **sealed** pack is never appended to again.
 *
 * Invariant P1: only the owner that the index names appends to a pack, under the write lock, and it
 * is named before the first byte is written. A pack is taken over only from an owner that is gone,
 * and then appended to behind whatever that owner left. Anybody who holds the write lock may seal a
 * pack; its owner goes on in another.
 */
export class PackOwner {
  readonly #folder: StoreFolder;
  readonly #database: IndexDatabase;
  readonly #table: PackTable;
  /** A pack is sealed once it has grown to this size. */
  readonly packBytes: number;
  #lock: WriterLock | undefined;
  #appender: PackAppender | undefined;
  /** Resolves when the append or seal asked for last has ended. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(folder: StoreFolder, database: IndexDatabase, packBytes: number) {
    this.#folder = folder;
    this.#database = database;
    this.#table = new PackTable(folder, database, (name) => this.isAlive(name));
    this.packBytes = packBytes;
  }

  /** Shows other processes from now on that this one may write. */
  takeLock(): void {
    void this.name;
  }

  /** The name under which this process owns things, from the first use on. */
  get name(): string {
    if (this.#lock === undefined) {
      this.#folder.assertIndex();
      this.#lock = new WriterLock(this.#folder.root);
    }
    return this.#lock.name;
  }

  /** Whether the process of that name still runs; this one does. */
  isAlive(name: string): boolean {
    return name === this.#lock?.name || isWriterAlive(this.#folder.root, name);
  }

  /** The pack that this process may append to, if it has one. */
  get current(): number | undefined {
    return this.#appender?.pack;
  }

  /**
   * Runs `work` in a write transaction that appends to a pack; one at a time, because appends of
   * two would mix. What it appended is flushed before the index commits. It belongs to the store
   * once the promise resolves, and is overwritten when it rejects.
   */
  append<Result>(work: (appender: PackAppender) => Result, signal?: AbortSignal): Promise<Result> {
    return this.#exclusively(async () => {
      for (;;) {
        const appender = await this.#acquire(signal);
        const transaction = () => {
          if (!this.#table.verify(appender, this.name)) throw new PackRevoked();
          this.#table.sealCutOff(appender.pack);
          const result = work(appender);
          if (appender.hasAppended) {
            // Once the index names a block, it must be there even after a power failure.
            appender.sync();
            this.#table.enterSize(appender);
          }
          appender.assertInPlace();
          return result;
        };
        try {
          const result = await this.#database.write(transaction, signal, (error) =>
            undo(appender, error),
          );
          appender.commit();
          return result;
        } catch (error) {
          if (!(error instanceof PackRevoked)) throw error;
          this.#appender = undefined;
          appender.close();
        }
      }
    });
  }

  /** Seals the pack of this process, so that a collection may rewrite it. */
  seal(signal?: AbortSignal): Promise<void> {
    return this.#exclusively(() => this.#seal(signal));
  }

  /**
   * Seals packs whoever owns them, so that they can be rewritten: their owners go on in new ones.
   * Only in a write transaction.
   */
  revoke(packs: readonly number[]): void {
    for (const pack of packs) this.#table.seal(pack);
  }

  /** The open packs that no living process appends to. */
  abandoned(): number[] {
    return this.#table.abandoned();
  }

  /**
   * Seals those of the given packs that no living process appends to. Only in a write transaction.
   */
  sealAbandoned(packs: readonly number[]): void {
    const wanted = new Set(packs);
    this.revoke(this.abandoned().filter((pack) => wanted.has(pack)));
  }

  /** Gives up the lock and the pack, so that another process may go on in it. */
  release(): Promise<void> {
    return this.#exclusively(() => this.#release());
  }

  async #acquire(signal?: AbortSignal): Promise<PackAppender> {
    const current = this.#appender;
    if (current !== undefined && !this.#isFull(current)) return current;
    await this.#seal(signal);
    const pack = await this.#database.write(
      () => this.#table.register(this.name, this.packBytes),
      signal,
    );
    this.#appender = new PackAppender(this.#folder, pack);
    return this.#appender;
  }

  async #seal(signal?: AbortSignal): Promise<void> {
    const sealed = this.#appender;
    if (sealed === undefined) return;
    await this.#database.write(() => this.#table.seal(sealed.pack), signal);
    this.#appender = undefined;
    sealed.close();
  }

  async #release(): Promise<void> {
    const appender = this.#appender;
    this.#appender = undefined;
    appender?.close();
    try {
      if (appender === undefined) return;
      await this.#database.write(() => {
        if (this.#isFull(appender)) this.#table.seal(appender.pack);
        else this.#table.free(appender.pack);
      });
    } finally {
      // Whatever the index says, nobody appends here any more; without the lock, others can see
      // that.
      if (this.#folder.isInPlace) this.#lock?.release();
      else this.#lock?.abandon();
      this.#lock = undefined;
    }
  }

  #isFull({ isBroken, end }: PackAppender): boolean {
    return isBroken || end >= this.packBytes;
  }

  #exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const run = this.#tail.then(work);
    this.#tail = run.catch(() => undefined);
    return run;
  }
}

function undo(appender: PackAppender, error: unknown): void {
  // After an unknown outcome the index may name what was appended: never write over that.
  if (error instanceof VarveError && error.code === 'OUTCOME_UNKNOWN') appender.commit();
  else appender.rollback();
}
