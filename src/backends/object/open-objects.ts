import { VarveError } from '../../core/errors.ts';
import type { Clock, Randomness } from '../../core/system/clock.ts';
import { SystemClock, SystemRandomness } from '../../core/system/system-clock.ts';
import { Call } from '../storage/call.ts';
import { requestStack } from '../storage/decorators/request-stack.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { probeConditions, recheckConditions } from '../storage/probe.ts';
import { ServiceWatch } from '../storage/service-watch.ts';
import { DESCRIPTOR_KEY } from './format/keys.ts';
import type { HeadsState } from './heads/heads-memory.ts';
import { ObjectBackend } from './object-backend.ts';
import {
  OBJECT_STORE_OPTIONS,
  type ObjectBackendOptions,
  type ObjectComponents,
} from './object-options.ts';
import { createStore, findStore, type SeenDescriptor } from './tables/descriptor.ts';
import {
  probedService,
  rememberProbe,
  type SoundProbe,
  wasProbed,
} from './tables/probed-services.ts';

export interface OpenObjectsOptions extends ObjectBackendOptions {
  /** Create the store if there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean | undefined;
}

/**
 * Opens the store in an object store. `timeoutMs` and `signal` limit the opening as they limit
 * other calls.
 *
 * @param verify checks, before anything is written, that the service keeps its promises; throws
 *   when it does not. Gets the objects as this call sees them, and the call. Returns what may be
 *   remembered in the store, so that the next process need not verify. Default: nothing to check.
 * @throws `NOT_FOUND` when there is no store and none may be created; `UNSUPPORTED_FORMAT`;
 *   `CORRUPT`; what `verify` and the service throw. Then the objects are closed.
 */
export async function openObjects(
  store: ObjectStore,
  options: OpenObjectsOptions = {},
  components: ObjectComponents = {},
  verify: (objects: ObjectStore, call: Call) => Promise<SoundProbe | undefined> = nothing,
): Promise<ObjectBackend> {
  const {
    readOnly = false,
    create = !readOnly,
    timeoutMs = OBJECT_STORE_OPTIONS.defaults.timeoutMs,
    signal,
  } = options;
  const { clock = new SystemClock(), randomness = new SystemRandomness(), retries } = components;
  const call = Call.short(clock, timeoutMs, signal);
  const objects = requestStack(store, call, { clock, retries });
  try {
    let seen = await findStore(objects);
    if (seen === undefined && (!create || readOnly))
      throw new VarveError('NOT_FOUND', `there is no Varve store at ${store.location}`);
    const isTried = !readOnly && !(seen !== undefined && wasProbed(seen));
    const probe = isTried ? await verify(objects, call) : undefined;
    if (seen === undefined)
      seen = await createStore(objects, clock.now(), probe && [probedService(probe)]);
    else if (probe !== undefined) seen = await rememberProbe(objects, seen, probe);
    const { descriptor, object } = seen;
    const { created: identity, format } = descriptor;
    const watch = readOnly ? undefined : watchOf(object, isTried, clock, randomness);
    const heads: HeadsState = descriptor.format === 1 ? 'none' : (descriptor.journal ?? 'none');
    const known = { identity, format, watch, heads };
    return new ObjectBackend(store, options, { ...known, ...components });
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function nothing(): Promise<undefined> {}

/** `undefined` for a service that cannot change. */
function watchOf(
  { servedBy, body }: SeenDescriptor['object'],
  isTried: boolean,
  clock: Clock,
  randomness: Randomness,
): ServiceWatch | undefined {
  if (servedBy === undefined) return undefined;
  const trials = {
    recheck: (store: ObjectStore) => recheckConditions(store, { key: DESCRIPTOR_KEY, body }),
    probe: async (store: ObjectStore) => {
      await probeConditions(store, randomness);
    },
  };
  return new ServiceWatch(trials, () => clock.monotonic(), servedBy, isTried);
}
