import type { JudgedState } from '../../contract/decide.ts';
import type { AppendWrite, ManifestFields, ManifestHold } from '../../contract/manifests.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import {
  type LocalKey,
  type ManifestRow,
  manifestEntry,
  manifestName,
  revisionOf,
} from '../tables/manifest-table.ts';
import type { CommitLog } from './commit-log.ts';

/** The manifest rows that one write transaction changes; each change goes into the log, too. */
export class ManifestWriter {
  readonly #index: LocalIndex;
  readonly #log: CommitLog;
  readonly #now: number;
  readonly #newManifests = new Map<string, number>();
  readonly #fingerprints: FingerprintEntry[] = [];

  /** Make it when the transaction begins. */
  constructor(index: LocalIndex, log: CommitLog, now: number) {
    this.#index = index;
    this.#log = log;
    this.#now = now;
  }

  /** The row of a manifest, those of this transaction included. */
  find(key: LocalKey): ManifestRow | undefined {
    return this.#index.manifests.find(key, this.#newManifests);
  }

  /** What writes to a manifest are judged on. */
  stateOf(row: ManifestRow | undefined): JudgedState | undefined {
    if (row === undefined) return undefined;
    const { holds } = this.#index;
    return {
      revision: revisionOf(row),
      get hold() {
        return holds.find(row.id);
      },
    };
  }

  /** Makes the row of a key name these bodies. */
  put(
    key: LocalKey,
    existing: ManifestRow | undefined,
    fields: ManifestFields,
    bodies: readonly number[],
  ): ManifestRow {
    const { manifests } = this.#index;
    if (existing !== undefined) {
      const dropped = manifests.bodies(existing);
      const row = manifests.replace(existing, bodies, fields, this.#now);
      this.#log.put(row, bodies, dropped);
      return row;
    }
    const row = manifests.insert(KIND_NUMBERS[key.kind], key.id, bodies, fields, this.#now);
    this.#log.put(row, bodies, []);
    this.#newManifests.set(manifestName(key), row.id);
    this.#fingerprints.push(manifestEntry(key, row.id));
    return row;
  }

  /** Makes a row name these bodies behind those that it names. */
  append(
    existing: ManifestRow,
    {
      idempotencyKey,
      logicalBytes,
      fields = {},
    }: Pick<AppendWrite, 'idempotencyKey' | 'logicalBytes' | 'fields'>,
    bodies: readonly number[],
  ): ManifestRow {
    const nonce = idempotencyKey === undefined ? null : Buffer.from(idempotencyKey);
    const { manifests } = this.#index;
    const row = manifests.extend(existing, bodies, nonce, logicalBytes, fields, this.#now);
    this.#log.append(row, bodies, nonce);
    return row;
  }

  remove(existing: ManifestRow): void {
    const { manifests } = this.#index;
    this.#log.delete(existing, manifests.bodies(existing));
    manifests.remove(existing);
  }

  /** Places a hold, or releases it: `undefined`. */
  hold(existing: ManifestRow, hold: ManifestHold | undefined): void {
    if (hold === undefined) this.#index.holds.release(existing.id);
    else this.#index.holds.place(existing.id, hold);
    this.#log.hold(existing);
  }

  /** Enters fingerprints into the index; returns whether a run was added. */
  enter(): boolean {
    return this.#index.manifestFingerprints.add(this.#fingerprints);
  }
}
