import type { Clock, Randomness } from '../../core/system/clock.ts';
import type { Retries } from '../storage/decorators/retries.ts';
import type { RequestMeter } from '../storage/request-meter.ts';
import { DEFAULT_SETTINGS, type ProtocolSettings } from './tables/foundation.ts';

/** How a store of objects works; each option may differ from one opening to the next. */
export interface ObjectBackendOptions extends Partial<ProtocolSettings> {
  /** Never write. Default: false. */
  readonly readOnly?: boolean;
  /** Ends the opening and every call, now and later. Default: nothing does. */
  readonly signal?: AbortSignal;
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 4,096. */
  readonly inlineBelow?: number;
  /** Most requests under way at once. Default: 32. */
  readonly concurrency?: number;
  /** Segments kept in memory for the next reader, in bytes. Default: 64 MiB. */
  readonly cacheBytes?: number;
}

/** What a store of objects is made of, besides the objects. */
export interface ObjectComponents {
  /** Default: the clock of the system. */
  readonly clock?: Clock;
  /** Default: that of the system. */
  readonly randomness?: Randomness;
  /** Counts the requests of a store that counts its own. Default: one is counted for each call. */
  readonly meter?: RequestMeter;
  /** Repeats requests. Default: each is sent once. */
  readonly retries?: Retries;
  /** See `Backend.identity`. */
  readonly identity?: string;
}

/** The settings of the protocol, with defaults for those that are left out. */
export function settingsOf(options: ObjectBackendOptions): ProtocolSettings {
  return {
    leaseMs: options.leaseMs ?? DEFAULT_SETTINGS.leaseMs,
    timeoutMs: options.timeoutMs ?? DEFAULT_SETTINGS.timeoutMs,
    compressionLevel: options.compressionLevel ?? DEFAULT_SETTINGS.compressionLevel,
    spillAbove: options.spillAbove ?? DEFAULT_SETTINGS.spillAbove,
    scannedReferences: options.scannedReferences ?? DEFAULT_SETTINGS.scannedReferences,
  };
}
