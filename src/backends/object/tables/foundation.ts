import type { Clock, Randomness } from '../../../core/system/clock.ts';
import type { Call } from '../../storage/call.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { ServerClock } from '../../storage/server-clock.ts';

/** Settings of the protocol: each may differ from one opening to the next. */
export interface ProtocolSettings {
  /** As in `ObjectStoreOptions`. */
  readonly leaseMs: number;
  /** As in `ObjectStoreOptions`; see {@link Call}. */
  readonly timeoutMs: number;
  /** As in `ObjectStoreOptions`. */
  readonly compressionLevel: number;
  /** A manifest with more bytes of inline bodies stores them in segments. */
  readonly spillAbove: number;
  readonly pageSizes: PageSizes;
  /** Most references that a scan of all manifests keeps in memory; more go to temporary files. */
  readonly scannedReferences: number;
  /** As in `ObjectStoreOptions`. */
  readonly temporaryFolder?: string | undefined;
}

/** When entries of a manifest move into pages, and how pages are merged. */
export interface PageSizes {
  /** A record with more bytes of entries moves them into a page, the first one. */
  readonly firstAbove: number;
  /** The same for further pages. Pages of the lowest tier begin at this many bytes. */
  readonly above: number;
  /** Fewer entries stay in the record, unless they take `above` times `fanIn` bytes. */
  readonly entries: number;
  /** This many pages of one tier become one of the next, which has `fanIn` times the bytes. */
  readonly fanIn: number;
  /** Most bytes of a page that was merged. */
  readonly most: number;
  /** Most idempotency keys in a record. */
  readonly keys: number;
}

/** What the protocol builds on. */
export interface Foundation {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
  readonly randomness: Randomness;
  readonly settings: ProtocolSettings;
  /** The call that all this work belongs to. */
  readonly call: Call;
}
