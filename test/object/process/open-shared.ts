import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { type OpenS3Options, openS3 } from '../../../src/backends/object/open-s3.ts';

/** Opens a store that other processes use as well. */
export function openShared(location: string, options: OpenS3Options = {}): Promise<ObjectBackend> {
  return openS3(location, options);
}
