import { VarveError } from '../../core/errors.ts';
import type { OnEvent } from '../../core/events.ts';
import { SystemClock, SystemRandomness } from '../../core/system/system-clock.ts';
import { RetryingStore } from '../storage/decorators/retrying-store.ts';
import { probeConditions } from '../storage/probe.ts';
import { RequestMeter } from '../storage/request-meter.ts';
import { openS3Objects } from '../storage/s3/open-s3-objects.ts';
import { parseS3Location, type S3Config } from '../storage/s3/s3-location.ts';
import type { ObjectBackend, ObjectComponents } from './object-backend.ts';
import { type OpenObjectsOptions, openObjects } from './open-objects.ts';
import { DEFAULT_SETTINGS } from './tables/foundation.ts';

export interface OpenS3Options extends OpenObjectsOptions {
  /** Told of what does not keep a store from working, and may harm it. Default: nobody. */
  readonly onWarning?: (message: string) => void;
  /** Told of each request that is repeated. Default: nobody. */
  readonly onEvent?: OnEvent;
}

/**
 * Opens the store at a location on S3. Before anything is written the service has to show that it
 * honours conditions, and the bucket that nothing else deletes from it.
 *
 * @throws what `openS3Objects`, `checkBucket`, `probeConditions` and `openObjects` throw;
 *   `INVALID_ARGUMENT` when both the location and the options say `timeoutMs`.
 */
export async function openS3(
  location: string | S3Config,
  options: OpenS3Options = {},
  components: ObjectComponents = {},
): Promise<ObjectBackend> {
  const { onWarning = () => {}, onEvent } = options;
  const { clock = new SystemClock(), randomness = new SystemRandomness() } = components;
  const { timeoutMs: ofLocation } = parseS3Location(location);
  if (ofLocation !== undefined && options.timeoutMs !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'timeoutMs is both in the S3 location and in the options: leave one out',
    );
  }
  const timeoutMs = options.timeoutMs ?? ofLocation ?? DEFAULT_SETTINGS.timeoutMs;
  const meter = new RequestMeter();
  const objects = await openS3Objects(location, meter);
  const retrying = { clock, randomness, meter, ...(onEvent && { onEvent }) };
  const store = new RetryingStore(objects, retrying, { deadlineMs: timeoutMs });
  return openObjects(
    store,
    { ...options, timeoutMs },
    { clock, randomness, meter },
    async (bounded, call) => {
      await store.repeat('looking at the bucket', call.step(), (bounds) =>
        objects.checkBucket(onWarning, bounds),
      );
      await probeConditions(bounded, randomness);
    },
  );
}
