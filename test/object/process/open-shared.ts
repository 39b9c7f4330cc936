import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import type { OpenProviderOptions } from '../../../src/backends/object/open-provider.ts';
import { openS3 } from '../../../src/backends/object/open-s3.ts';

/** Opens a store that other processes use as well. */
export function openShared(
  location: string,
  options: OpenProviderOptions = {},
): Promise<ObjectBackend> {
  return openS3(location, options);
}
