import type { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import { openS3Objects } from '../../../src/backends/storage/s3/open-s3-objects.ts';
import type { S3Config } from '../../../src/backends/storage/s3/s3-location.ts';
import type { S3Objects } from '../../../src/backends/storage/s3/s3-objects.ts';

export const CREDENTIALS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'a-secret-that-stays-secret',
};

/** Opens the bucket of a server in this process, directly or through a proxy. */
export function openAt(
  endpoint: string,
  config: Partial<S3Config> = {},
  meter?: RequestMeter,
): Promise<S3Objects> {
  return openS3Objects(
    { bucket: 'bucket', region: 'here-1', endpoint, credentials: CREDENTIALS, ...config },
    meter,
  );
}
