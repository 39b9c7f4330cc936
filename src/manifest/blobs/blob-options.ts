import {
  type ListFilter,
  listFilterKinds,
  type Revision,
  revisionKind,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';

/** How a blob is put. */
export interface PutBlobOptions extends AbortOptions {
  /**
   * What to do when the name holds other content: `error` (the default) throws `ALREADY_EXISTS`.
   */
  readonly ifExists?: 'error' | 'skip' | 'replace' | undefined;
  /** Throws `CONFLICT` unless this is the stored revision. */
  readonly ifRevision?: Revision | undefined;
  /** A media type, such as `application/pdf`; stored as given. */
  readonly contentType?: string | undefined;
  /** The application it belongs to; lists can filter by it. */
  readonly application?: string | undefined;
  /** Milliseconds since the epoch from which a collection may delete the blob. Default: never. */
  readonly expiresAt?: number | undefined;
}

export const PUT_BLOB_OPTIONS = declareOptions<PutBlobOptions>()({
  defaults: { ifExists: 'error' },
  members: (is: OptionKinds) => ({
    ifExists: is.oneOf('error', 'skip', 'replace'),
    ifRevision: revisionKind(is),
    contentType: is.text,
    application: is.text,
    expiresAt: is.moment,
    signal: is.signal,
  }),
});

/** What putting a blob did. */
export interface BlobReceipt {
  readonly name: string;
  /**
   * `unchanged`: the same content was stored already; `skipped`: other content was stored, and
   * stays.
   */
  readonly status: 'created' | 'replaced' | 'unchanged' | 'skipped';
  /** The revision now stored. */
  readonly revision: Revision;
  /** Length of the content in bytes, and its SHA-256 as 64 lower-case hex digits. */
  readonly bytes: number;
  readonly sha256: string;
  /** Chunks that were not stored before, and their bytes. */
  readonly newSegments: number;
  readonly newBytes: number;
}

/** What a list returns of a blob. */
export interface BlobHead {
  readonly name: string;
  readonly bytes: number;
  readonly revision: Revision;
  readonly application?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt?: number;
}

/** What is known of a blob without reading its bytes. */
export interface BlobStat extends BlobHead {
  /** SHA-256 of the whole, as 64 lower-case hex digits. */
  readonly sha256: string;
  readonly contentType?: string;
  /** Number of chunks. */
  readonly chunks: number;
}

/** Which bytes of a blob are read. */
export interface GetBlobOptions extends AbortOptions {
  /** Offset of the first byte. Default: 0. */
  readonly start?: number | undefined;
  /** Offset behind the last byte; beyond the end of the blob means its end. Default: its end. */
  readonly end?: number | undefined;
}

export const GET_BLOB_OPTIONS = declareOptions<GetBlobOptions>()({
  defaults: { start: 0 },
  members: (is: OptionKinds) => ({ start: is.whole(0), end: is.whole(0), signal: is.signal }),
});

/**
 * A blob being read. Each iteration hands out its bytes, or the range asked for, in pieces of at
 * most 256 KiB.
 */
export interface BlobContent extends AsyncIterable<Uint8Array> {
  /** The stat of the blob revision that is read, whatever is put meanwhile. */
  readonly stat: BlobStat;
  /** The range that is read, `end` exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Which blobs a list returns, and in which order. */
export interface BlobFilter
  extends Pick<ListFilter, 'application' | 'since' | 'until' | 'order'>,
    AbortOptions {}

export const BLOB_FILTER = declareOptions<BlobFilter>()({
  members: (is: OptionKinds) => {
    const { application, since, until, order } = listFilterKinds(is);
    return { application, since, until, order, signal: is.signal };
  },
});
