import type { ObjectBackend, ObjectComponents } from '../object-backend.ts';
import { type OpenObjectsOptions, openObjects } from '../open-objects.ts';
import { probeConditions } from '../probe.ts';
import { RequestMeter } from '../request-meter.ts';
import { RetryingStore } from '../retrying-store.ts';
import { SystemClock, SystemRandomness } from '../system-clock.ts';
import { openS3Objects } from './open-s3-objects.ts';
import type { S3Config } from './s3-location.ts';

export interface OpenS3Options extends OpenObjectsOptions {
  /** Told of what does not keep a store from working, and may harm it. Default: nobody. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Opens the store at a location on S3. Before anything is written the service has to show that it honours conditions, and the
 * bucket that nothing else deletes from it.
 *
 * @throws what `openS3Objects`, `checkBucket`, `probeConditions` and `openObjects` throw.
 */
export async function openS3(
  location: string | S3Config,
  options: OpenS3Options = {},
  components: ObjectComponents = {},
): Promise<ObjectBackend> {
  const { onWarning = () => {} } = options;
  const { clock = new SystemClock(), randomness = new SystemRandomness() } = components;
  const meter = new RequestMeter();
  const objects = await openS3Objects(location, meter);
  const store = new RetryingStore(objects, { clock, randomness, meter });
  const verify = async (): Promise<void> => {
    await objects.checkBucket(onWarning);
    await probeConditions(store, randomness);
  };
  return openObjects(store, options, { clock, randomness, meter }, verify);
}
