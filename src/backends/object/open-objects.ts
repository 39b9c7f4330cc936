import { VarveError } from '../../core/errors.ts';
import { SystemClock } from '../../core/system/system-clock.ts';
import { Call } from '../storage/call.ts';
import { requestStack } from '../storage/decorators/request-stack.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { ObjectBackend } from './object-backend.ts';
import {
  OBJECT_STORE_OPTIONS,
  type ObjectBackendOptions,
  type ObjectComponents,
} from './object-options.ts';
import { createStore, findStore, type StoreDescriptor } from './tables/descriptor.ts';

export interface OpenObjectsOptions extends ObjectBackendOptions {
  /** Create the store if there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean | undefined;
}

/**
 * Opens the store in an object store. `timeoutMs` and `signal` limit the opening as they limit
 * other calls.
 *
 * @param verify checks, before anything is written, that the service keeps its promises; throws
 *   when it does not. Gets the objects as this call sees them, and the call.
 * @throws `NOT_FOUND` when there is no store and none may be created; `UNSUPPORTED_FORMAT`;
 *   `CORRUPT`; what `verify` and the service throw. Then the objects are closed.
 */
export async function openObjects(
  store: ObjectStore,
  options: OpenObjectsOptions = {},
  components: ObjectComponents = {},
  verify: (objects: ObjectStore, call: Call) => Promise<void> = async () => {},
): Promise<ObjectBackend> {
  const {
    readOnly = false,
    create = !readOnly,
    timeoutMs = OBJECT_STORE_OPTIONS.defaults.timeoutMs,
    signal,
  } = options;
  const { clock = new SystemClock(), retries } = components;
  // A failure of either ends the other.
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const call = Call.short(clock, timeoutMs, either);
  const objects = requestStack(store, call, { clock, retries });
  try {
    const [found] = await Promise.all([
      findStore(objects),
      readOnly ? undefined : verify(objects, call),
    ]);
    let descriptor: StoreDescriptor | undefined = found;
    if (descriptor === undefined) {
      if (!create || readOnly)
        throw new VarveError('NOT_FOUND', `there is no Varve store at ${store.location}`);
      descriptor = await createStore(objects, clock.now());
    }
    return new ObjectBackend(store, options, { identity: descriptor.created, ...components });
  } catch (error) {
    failed.abort();
    await store.close();
    throw error;
  }
}
