import { isDeepStrictEqual } from 'node:util';
import { mapAhead } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { Finding } from '../../contract/audit.ts';
import { MANIFEST_KINDS, type ManifestKey, type ManifestKind } from '../../contract/manifests.ts';
import {
  comparePlaces,
  type HeadVersion,
  type Place,
  type StoredHead,
  versionAt,
} from '../format/head-version.ts';
import { catalogKey, manifestObjectKey } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import { candidates } from '../heads/head-view.ts';
import { IndexMoved } from '../heads/index-moved.ts';
import { rebuildHeads } from '../heads/rebuild.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { AuditRun } from './audit-run.ts';
import { type Diagnosis, firstOf } from './diagnosis.ts';

/** Times that lists are read before they count as unreadable: compactions replace pages. */
const TRIES = 5;

/** Suspects that are read at once. */
const READ_AHEAD = { count: 64 };

/** What lists should have of a manifest: one revision has one content. */
interface Listed extends Place {
  readonly revision: StoredHead['revision'];
  readonly hold: StoredHead['hold'];
}

/** Compares what lists read with the manifests that a scan has read. */
export class HeadAudit {
  readonly #run: AuditRun;
  /** By the key of the object. */
  readonly #manifests = new Map<string, Listed>();

  constructor(run: AuditRun) {
    this.#run = run;
  }

  note({ key, current }: ManifestRecord): void {
    if (current === undefined || this.#run.context.heads.state !== 'ready') return;
    const { archived, revision, hold } = current;
    this.#manifests.set(manifestObjectKey(key), { id: key.id, archived, revision, hold });
  }

  async *findings(): AsyncGenerator<Finding, void, undefined> {
    if (this.#run.context.heads.state !== 'ready') return;
    for (const kind of MANIFEST_KINDS) {
      const diagnosis = await this.#diagnose(kind);
      if (diagnosis !== undefined) yield* this.#run.report([[diagnosis]]);
    }
  }

  async #diagnose(kind: ManifestKind): Promise<Diagnosis | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        const wrong = await this.#wronglyListed(kind);
        if (wrong.length === 0) return undefined;
        const message = `lists of ${kind}s are wrong about ${wrong.length === 1 ? 'one' : wrong.length} of them`;
        return this.#finding(kind, message, wrong);
      } catch (error) {
        if (isUnreadable(error))
          return this.#finding(kind, `what lists of ${kind}s read is damaged: ${error.message}`);
        if (!(error instanceof IndexMoved)) throw error;
      }
    }
    return this.#finding(kind, `what lists of ${kind}s read is lost`);
  }

  #finding(kind: ManifestKind, message: string, manifests: readonly ManifestKey[] = []): Diagnosis {
    const { context, options } = this.#run;
    return {
      finding: {
        kind: 'unindexed',
        message,
        location: catalogKey(kind),
        manifests: firstOf(manifests.map((key) => ({ key }))),
        repair: 'write it again from the manifests',
        harmful: false,
      },
      mend: () => rebuildHeads(context.heads.tables, kind, options.signal),
    };
  }

  /** Manifests whose newest version on pages is not what is stored, and that no journal names. */
  async #wronglyListed(kind: ManifestKind): Promise<ManifestKey[]> {
    const { tables } = this.#run.context.heads;
    const suspects = new Set<string>();
    const missing = new Set<string>();
    for (const [objectKey] of this.#manifests)
      if (objectKey.startsWith(`manifests/${kind}/`)) missing.add(objectKey);
    for await (const batch of candidates(tables, kind)) {
      for (const { id, archived, version, announced } of batch) {
        const objectKey = manifestObjectKey({ kind, id });
        const stored = this.#manifests.get(objectKey);
        const isThere = stored !== undefined && comparePlaces(stored, { id, archived }) === 0;
        if (isThere && (announced !== undefined || version?.head !== undefined))
          missing.delete(objectKey);
        if (announced !== undefined) continue;
        const head = version?.head;
        const isSame =
          isThere &&
          head?.revision === stored.revision &&
          isDeepStrictEqual(head.hold, stored.hold);
        if (!isSame && (head !== undefined || isThere)) suspects.add(id);
      }
    }
    for (const objectKey of missing) suspects.add((this.#manifests.get(objectKey) as Listed).id);
    return suspects.size === 0 ? [] : this.#confirmed(kind, suspects);
  }

  /** Reads the suspects again, and then what lists read of them. */
  async #confirmed(kind: ManifestKind, ids: ReadonlySet<string>): Promise<ManifestKey[]> {
    const { protocol, heads } = this.#run.context;
    const listed = new Map<string, HeadVersion[]>();
    const journaled = new Set<string>();
    for await (const batch of candidates(heads.tables, kind)) {
      for (const { id, version, announced } of batch) {
        if (!ids.has(id)) continue;
        if (announced !== undefined) journaled.add(id);
        if (version !== undefined) listed.set(id, [...(listed.get(id) ?? []), version]);
      }
    }
    const wrong: ManifestKey[] = [];
    const suspects = [...ids].filter((id) => !journaled.has(id)).map((id) => ({ kind, id }));
    const read = (key: ManifestKey) => unlessUnreadable(protocol.manifests.read(key));
    for await (const [key, seen] of mapAhead(
      suspects,
      READ_AHEAD,
      async (key) => [key, await read(key)] as const,
    )) {
      if (seen === undefined) continue;
      const { id } = key;
      const versions = listed.get(id) ?? [];
      const { current } = seen.record ?? {};
      const isListed = (version: HeadVersion) =>
        isDeepStrictEqual(version.head, versionAt(id, version.archived, seen.record).head);
      const isMissing =
        current !== undefined &&
        !versions.some((version) => comparePlaces(version, { ...current, id }) === 0);
      if (isMissing || !versions.every(isListed)) wrong.push(key);
    }
    return wrong;
  }
}
