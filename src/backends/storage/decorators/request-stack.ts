import type { LimitFunction } from 'p-limit';
import type { Clock } from '../../../core/system/clock.ts';
import type { Call } from '../call.ts';
import type { ObjectStore } from '../object-store.ts';
import type { RequestMeter } from '../request-meter.ts';
import type { ServiceWatch } from '../service-watch.ts';
import { BoundedStore, type Link } from './bounded-store.ts';
import { LimitedStore } from './limited-store.ts';
import { MeteredStore } from './metered-store.ts';
import type { Retries } from './retries.ts';
import { RetryingStore } from './retrying-store.ts';
import { WatchedStore } from './watched-store.ts';

/** What the decorators of all calls of an open store share. A layer without it is left out. */
export interface SharedLayers {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly link?: Link;
  /** Keeps from writing to a service that is unfit. */
  readonly watch?: ServiceWatch | undefined;
  /** Bounds the requests under way. */
  readonly turns?: LimitFunction | undefined;
  readonly retries?: Retries | undefined;
  /** Counts requests, where the store does not count its own. */
  readonly meter?: RequestMeter | undefined;
}

/** A store as one call sees it: what each request passes on its way. */
export function requestStack(
  store: ObjectStore,
  call: Call,
  { clock, link = { isDown: false }, watch, turns, retries, meter }: SharedLayers,
): ObjectStore {
  const fromOutsideIn = [
    // What it asks for itself passes all others.
    watch && ((inner: ObjectStore) => new WatchedStore(inner, call, watch)),
    // The time of the call goes on while a request waits for its turn, or pauses.
    (inner: ObjectStore) => new BoundedStore(inner, call, clock, link),
    // A request that pauses keeps its turn, so that an outage does not let more in.
    turns && ((inner: ObjectStore) => new LimitedStore(inner, turns)),
    retries && ((inner: ObjectStore) => new RetryingStore(inner, retries)),
    // Each try counts.
    meter && ((inner: ObjectStore) => new MeteredStore(inner, meter)),
  ];
  return fromOutsideIn.reduceRight((inner, layer) => (layer ? layer(inner) : inner), store);
}
