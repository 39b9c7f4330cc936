import { VarveError } from '../../errors.ts';
import { createStore, findStore, type StoreDescriptor } from './descriptor.ts';
import { ObjectBackend, type ObjectBackendOptions, type ObjectComponents } from './object-backend.ts';
import type { ObjectStore } from './object-store.ts';
import { SystemClock } from './system-clock.ts';

export interface OpenObjectsOptions extends ObjectBackendOptions {
  /** Create the store if there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean;
}

/**
 * Opens the store among these objects.
 *
 * @param verify makes sure, before anything is written, that the service keeps its promises; throws where it does not.
 * @throws `NOT_FOUND` when there is none and it may not be created; `UNSUPPORTED_FORMAT`; `CORRUPT`; what `verify` and the service
 *   throw. Then the objects are closed.
 */
export async function openObjects(
  store: ObjectStore,
  options: OpenObjectsOptions = {},
  components: ObjectComponents = {},
  verify: () => Promise<void> = async () => {},
): Promise<ObjectBackend> {
  const { readOnly = false, create = !readOnly } = options;
  const { clock = new SystemClock() } = components;
  let descriptor: StoreDescriptor | undefined;
  try {
    [descriptor] = await Promise.all([findStore(store), readOnly ? undefined : verify()]);
    if (descriptor === undefined) {
      if (!create || readOnly) throw new VarveError('NOT_FOUND', `there is no Varve store at ${store.location}`);
      descriptor = await createStore(store, clock.now());
    }
  } catch (error) {
    await store.close();
    throw error;
  }
  return new ObjectBackend(store, options, { identity: descriptor.created, ...components });
}
