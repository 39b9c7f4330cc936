import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { VarveError } from '../../../core/errors.ts';
import type { ListedObject, ObjectPage } from '../object-store.ts';

/**
 * What a listing says, with keys relative to `prefix`. Keys are asked for percent-encoded, because
 * XML cannot hold all of them; a service that does not encode says so by leaving out the
 * `EncodingType`.
 */
export function decodeListed(
  output: ListObjectsV2CommandOutput,
  prefix: string,
): Omit<ObjectPage, 'serverTime'> & { readonly token: string | undefined } {
  const decode = output.EncodingType === 'url' ? decodeKey : (key: string) => key;
  const objects: ListedObject[] = [];
  for (const { Key, ETag = '', Size = 0, LastModified } of output.Contents ?? []) {
    const key = decode(Key ?? '');
    if (!key.startsWith(prefix)) continue;
    objects.push({
      key: key.slice(prefix.length),
      etag: ETag,
      size: Size,
      lastModified: LastModified?.getTime() ?? 0,
    });
  }
  if (output.IsTruncated === undefined) {
    // A proxy's page, answered with 200, parses as an empty listing: what is stored must not look
    // as if it were gone.
    throw new VarveError(
      'UNAVAILABLE',
      'the answer to a listing is not one: is the endpoint that of S3?',
    );
  }
  const isTruncated = output.IsTruncated;
  return { objects, isTruncated, token: isTruncated ? output.NextContinuationToken : undefined };
}

/** Space is `+`, as forms have it, or `%20`; a plus is always `%2B`. */
function decodeKey(encoded: string): string {
  return decodeURIComponent(encoded.replaceAll('+', ' '));
}
