import type { Clock, Randomness } from '../../../core/system/clock.ts';
import type { Call } from '../../storage/call.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { ServerClock } from '../../storage/server-clock.ts';

/** Settings of the protocol: each may differ from one opening to the next. */
export interface ProtocolSettings {
  /**
   * How long an attempt may go without a sign of life before anybody may fence it, in ms. Default:
   * 30,000.
   */
  readonly leaseMs: number;
  /**
   * How long a call may take, outage and clean-up included, in ms; see {@link Call}. Default:
   * 60,000.
   */
  readonly timeoutMs: number;
  /** zstd level of segments, 1 to 19. Default: 9. */
  readonly compressionLevel: number;
  /** A manifest with more bytes of inline bodies stores them in segments. Default: 64 KiB. */
  readonly spillAbove: number;
  /**
   * Most references that an audit keeps in memory; with more it reads the manifests several times.
   * Default: 1,000,000.
   */
  readonly scannedReferences: number;
}

export const DEFAULT_SETTINGS: ProtocolSettings = {
  leaseMs: 30_000,
  timeoutMs: 60_000,
  compressionLevel: 9,
  spillAbove: 64 * 1024,
  scannedReferences: 1_000_000,
};

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
