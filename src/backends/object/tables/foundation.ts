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
  /** Most references that a scan of all manifests keeps in memory; more go to temporary files. */
  readonly scannedReferences: number;
  /** As in `ObjectStoreOptions`. */
  readonly temporaryFolder?: string | undefined;
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
