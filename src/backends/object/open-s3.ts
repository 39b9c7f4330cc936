import { VarveError } from '../../core/errors.ts';
import { openS3Objects } from '../storage/s3/open-s3-objects.ts';
import { parseS3Location, type S3Config } from '../storage/s3/s3-location.ts';
import type { ObjectBackend } from './object-backend.ts';
import type { ObjectComponents } from './object-options.ts';
import { type OpenProviderOptions, openProvider } from './open-provider.ts';

/**
 * Opens the store at a location on S3.
 *
 * @throws what `openS3Objects` and `openProvider` throw; `INVALID_ARGUMENT` when both the location
 *   and the options say `timeoutMs`.
 */
export async function openS3(
  location: string | S3Config,
  options: OpenProviderOptions = {},
  components: ObjectComponents = {},
): Promise<ObjectBackend> {
  const { timeoutMs } = parseS3Location(location);
  if (timeoutMs !== undefined && options.timeoutMs !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'timeoutMs is both in the S3 location and in the options: leave one out',
    );
  }
  const provider = await openS3Objects(location);
  return openProvider(
    provider,
    { ...options, ...(timeoutMs !== undefined && { timeoutMs }) },
    components,
  );
}
