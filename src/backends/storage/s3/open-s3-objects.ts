import { RequestMeter } from '../request-meter.ts';
import { connectS3 } from './s3-client.ts';
import { parseS3Location, type S3Config } from './s3-location.ts';
import { S3Objects } from './s3-objects.ts';
import { S3Requests } from './s3-requests.ts';

/**
 * Objects below a prefix of a bucket, given as `s3://…` or a configuration. No request is sent
 * until one is asked for: see {@link S3Objects.checkBucket} and `probeConditions` for what to ask
 * first.
 *
 * @param meter counts the requests that are sent.
 * @throws `INVALID_ARGUMENT` for an invalid location, or when no region is configured.
 */
export async function openS3Objects(
  location: string | S3Config,
  meter = new RequestMeter(),
): Promise<S3Objects> {
  const parsed = parseS3Location(location);
  return new S3Objects(new S3Requests(parsed, await connectS3(parsed), meter));
}
