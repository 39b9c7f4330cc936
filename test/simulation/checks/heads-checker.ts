import { isDeepStrictEqual } from 'node:util';
import { MANIFEST_KINDS, type ManifestKind } from '../../../src/backends/contract/manifests.ts';
import { type Catalog, decodeCatalog } from '../../../src/backends/object/format/head-catalog.ts';
import {
  decodeJournal,
  type JournalEntry,
} from '../../../src/backends/object/format/head-journal.ts';
import { HeadPage } from '../../../src/backends/object/format/head-page.ts';
import {
  comparePlaces,
  type HeadVersion,
  type Place,
  versionAt,
} from '../../../src/backends/object/format/head-version.ts';
import {
  catalogKey,
  journalsPrefix,
  manifestObjectKey,
} from '../../../src/backends/object/format/keys.ts';
import type { ManifestRecord } from '../../../src/backends/object/format/manifest-record.ts';
import type { BucketObject } from '../simulator/bucket.ts';
import { check } from './violation.ts';

/**
 * Reads journals, pages and catalogs after every change, and checks that lists can be complete: of
 * every place that a manifest has ever had, either a journal names it, or the newest version on the
 * pages is what the manifest's object says.
 */
export class HeadsChecker {
  /** As they are stored: without the entries of their pages. */
  readonly #records = new Map<string, ManifestRecord>();
  readonly #journals = new Map<string, readonly JournalEntry[]>();
  readonly #pages = new Map<string, HeadPage>();
  readonly #catalogs = new Map<string, Catalog>();
  readonly #places = new Map<string, { readonly kind: ManifestKind; readonly places: Place[] }>();

  observe(key: string, object: BucketObject | undefined): void {
    if (key.startsWith('journal/')) {
      if (object === undefined) this.#journals.delete(key);
      else this.#journals.set(key, decodeJournal(object.body, key));
    } else if (key.startsWith('heads/')) {
      if (object === undefined) this.#pages.delete(key);
      else this.#pages.set(key, HeadPage.decode(object.body, key));
    } else if (key.startsWith('catalog/')) {
      check(object !== undefined, () => `${key} was deleted`);
      this.#catalogs.set(key, decodeCatalog(object.body, key));
    } else return;
    this.#assertNamed();
  }

  /** Notes the place of a new body's content. */
  observeRecord(record: ManifestRecord): void {
    const { key, current } = record;
    const objectKey = manifestObjectKey(key);
    this.#records.set(objectKey, record);
    const known = this.#places.get(objectKey) ?? { kind: key.kind, places: [] };
    this.#places.set(objectKey, known);
    const place = current && { id: key.id, archived: current.archived };
    if (place !== undefined && !known.places.some((each) => comparePlaces(each, place) === 0))
      known.places.push(place);
    this.#assertNamed();
  }

  #assertNamed(): void {
    const newest = new Map(MANIFEST_KINDS.map((kind) => [kind, this.#newestOf(kind)]));
    for (const [objectKey, { kind, places }] of this.#places) {
      for (const place of places) {
        if (this.#isJournaled(kind, place)) continue;
        const truth = versionAt(place.id, place.archived, this.#records.get(objectKey)).head;
        const listed = newest.get(kind)?.get(nameOf(place))?.head;
        check(
          isDeepStrictEqual(listed, truth),
          () =>
            `no journal names ${objectKey} at ${place.archived}, and the pages have ` +
            `${JSON.stringify(listed)} instead of ${JSON.stringify(truth)}`,
        );
      }
    }
  }

  #newestOf(kind: ManifestKind): Map<string, HeadVersion> {
    const newest = new Map<string, HeadVersion>();
    for (const { key } of this.#catalogs.get(catalogKey(kind))?.runs.flat() ?? []) {
      const page = this.#pages.get(key);
      check(page !== undefined, () => `a catalog names ${key}, which is not there`);
      for (let row = 0; row < page.size; row++) {
        const version = page.at(row);
        const known = newest.get(nameOf(version));
        if (known === undefined || known.seq < version.seq) newest.set(nameOf(version), version);
      }
    }
    return newest;
  }

  #isJournaled(kind: ManifestKind, place: Place): boolean {
    for (const [key, entries] of this.#journals) {
      if (!key.startsWith(journalsPrefix(kind))) continue;
      const isNamed = entries.some(
        ({ id, places }) =>
          id === place.id &&
          places.some(({ archived }) => comparePlaces({ id, archived }, place) === 0),
      );
      if (isNamed) return true;
    }
    return false;
  }
}

function nameOf({ id, archived }: Place): string {
  return `${archived[0]} ${archived[1]} ${id}`;
}
