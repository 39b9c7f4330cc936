import type { OnEvent } from '../../core/events.ts';
import { SystemClock, SystemRandomness } from '../../core/system/system-clock.ts';
import { Retries } from '../storage/decorators/retries.ts';
import { probeConditions } from '../storage/probe.ts';
import type { Provider } from '../storage/provider.ts';
import type { ObjectBackend } from './object-backend.ts';
import { OBJECT_STORE_OPTIONS, type ObjectComponents } from './object-options.ts';
import { type OpenObjectsOptions, openObjects } from './open-objects.ts';

export interface OpenProviderOptions extends OpenObjectsOptions {
  /** Called with what does not keep a store from working, and may harm it. Default: not. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Called for each request that is repeated. Default: not. */
  readonly onEvent?: OnEvent | undefined;
}

/**
 * Opens the store of a provider. Before anything is written the service has to show that it honours
 * conditions, and the bucket that nothing else deletes from it.
 *
 * @throws what `checkBucket`, `probeConditions` and `openObjects` throw.
 */
export async function openProvider(
  provider: Provider,
  options: OpenProviderOptions,
  components: ObjectComponents,
): Promise<ObjectBackend> {
  const {
    onWarning = () => {},
    onEvent,
    timeoutMs = OBJECT_STORE_OPTIONS.defaults.timeoutMs,
  } = options;
  const { clock = new SystemClock(), randomness = new SystemRandomness() } = components;
  const { meter } = provider;
  const retries = new Retries(
    { clock, randomness, meter, ...(onEvent && { onEvent }) },
    { deadlineMs: timeoutMs },
  );
  return openObjects(
    provider,
    options,
    { clock, randomness, meter, retries },
    async (objects, call) => {
      const { isSound } = await retries.repeat('looking at the bucket', call.step(), (bounds) =>
        provider.checkBucket(onWarning, bounds),
      );
      const { servedBy, serverTime } = await probeConditions(objects, randomness);
      // What is amiss with the bucket is a warning in each process.
      return isSound && servedBy !== undefined ? { servedBy, serverTime } : undefined;
    },
  );
}
