import { createHash, hash } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backend } from '../../backends/contract/backend.ts';
import type { ManifestHead } from '../../backends/contract/manifests.ts';
import { parseJson } from '../../core/json.ts';

/**
 * What a backup remembers of the runs before, so that it reads nothing again that is still as it
 * was. An entry says: what the target has under this head is what the source has under that one.
 * Neither store uses a revision twice, so an entry is true for ever, and at worst out of date. The
 * file may be older than the copy, or be lost: then more is read again, and nothing less is copied.
 *
 * An audit, a collection or a prune of the copy leaves a report there. Then all entries go: an
 * audit may have marked what the next backup has to heal.
 */

const FILE = 'copied.bin';

/** Of each entry: the first 128 bits of a SHA-256. */
const ENTRY_BYTES = 16;

interface Header {
  readonly v: 1;
  /** Identity of the source. */
  readonly source: string | null;
  /** The newest report in the copy. */
  readonly report: string | null;
  /** SHA-256 of the entries. */
  readonly sha256: string;
}

export class CopiedManifests {
  readonly #source: string | null;
  readonly #report: string | null;
  /** Entries of earlier runs, in order. */
  readonly #before: Buffer;
  /** Entries that this run has made or met. */
  readonly #entries: Buffer[] = [];

  private constructor(source: string | null, report: string | null, before: Buffer) {
    this.#source = source;
    this.#report = report;
    this.#before = before;
  }

  /** Remembers nothing yet. */
  static none(): CopiedManifests {
    return new CopiedManifests(null, null, Buffer.alloc(0));
  }

  /** What the backup in a folder remembers; nothing, if it is of another source, or damaged. */
  static async load(folder: string, source: Backend, target: Backend): Promise<CopiedManifests> {
    const identity = source.identity ?? null;
    const report = await newestReport(target);
    const before = await readEntries(folder, ({ v, source: of, report: last }) => {
      return v === 1 && of === identity && last === report;
    });
    return new CopiedManifests(identity, report, before);
  }

  /** Whether nothing is remembered. */
  get isEmpty(): boolean {
    return this.#before.length === 0;
  }

  /** Whether the target's manifest is known to have the content, and the hold, of the source's. */
  has(source: ManifestHead, target: ManifestHead): boolean {
    const entry = entryOf(source, target);
    let low = 0;
    let high = this.#before.length / ENTRY_BYTES;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entryAt(middle).compare(entry) < 0) low = middle + 1;
      else high = middle;
    }
    const isKnown = this.#entryAt(low).equals(entry);
    if (isKnown) this.#entries.push(entry);
    return isKnown;
  }

  /** The target's manifest was just seen to have the content, and the hold, of the source's. */
  add(source: ManifestHead, target: ManifestHead): void {
    this.#entries.push(entryOf(source, target));
  }

  /**
   * Stores what this run has made or met, for the next one.
   *
   * @param isWhole whether that is all there is; otherwise what was known before stays as well.
   */
  async save(folder: string, isWhole: boolean): Promise<void> {
    const older = Array.from({ length: isWhole ? 0 : this.#before.length / ENTRY_BYTES }, (_, at) =>
      this.#entryAt(at),
    );
    const entries = Buffer.concat([...this.#entries, ...older].sort(Buffer.compare));
    const sha256 = hash('sha256', entries, 'hex');
    const header: Header = { v: 1, source: this.#source, report: this.#report, sha256 };
    const path = join(folder, FILE);
    const written = `${path}.${crypto.randomUUID()}`;
    try {
      const file = await open(written, 'wx', 0o600);
      try {
        await file.writeFile(Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), entries]));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(written, path);
    } catch {
      // The copy is as whole without it; the next backup reads more.
      await rm(written, { force: true }).catch(() => {});
    }
  }

  #entryAt(at: number): Buffer {
    return this.#before.subarray(at * ENTRY_BYTES, (at + 1) * ENTRY_BYTES);
  }
}

async function readEntries(folder: string, isValid: (header: Header) => boolean): Promise<Buffer> {
  try {
    const bytes = await readFile(join(folder, FILE));
    const end = bytes.indexOf('\n');
    const header = parseJson(bytes.subarray(0, end)) as Header;
    const entries = bytes.subarray(end + 1);
    if (isValid(header) && header.sha256 === hash('sha256', entries, 'hex')) return entries;
  } catch {
    // What cannot be read is not remembered.
  }
  return Buffer.alloc(0);
}

async function newestReport(target: Backend): Promise<string | null> {
  const [newest] = await target.reports.list({ limit: 1 });
  return newest === undefined ? null : hash('sha256', `${newest.time} ${newest.body}`, 'hex');
}

function entryOf(source: ManifestHead, target: ManifestHead): Buffer {
  const digest = createHash('sha256');
  for (const head of [source, target]) {
    const { key, revision, application, model, createdAt, updatedAt, expiresAt } = head;
    const { logicalBytes, entryCount, hold } = head;
    const held = hold && [hold.since, hold.reason ?? null];
    digest.update(
      JSON.stringify([
        ...[key.kind, key.id, revision, application ?? null, model ?? null, createdAt, updatedAt],
        ...[expiresAt ?? null, logicalBytes, entryCount, held ?? null],
      ]),
    );
  }
  return digest.digest().subarray(0, ENTRY_BYTES);
}
