import type { LifecycleRule } from '@aws-sdk/client-s3';
import { VarveError } from '../../../core/errors.ts';
import type { RequestOptions } from '../object-store.ts';
import { PROBE_PREFIX } from '../probe-remains.ts';
import { VERSIONING_ADVICE } from '../service-watch.ts';
import type { S3Location } from './s3-location.ts';
import type { S3Requests } from './s3-requests.ts';

export interface BucketFacts {
  /** `unknown`: the credentials may not see it, or the service has no such setting. */
  readonly versioning: 'off' | 'suspended' | 'enabled' | 'unknown';
  /**
   * Lifecycle rules that delete or move objects of the store, by their ids; `undefined`: not to be
   * seen.
   */
  readonly harmfulRules: readonly string[] | undefined;
  /** Whether nothing is known to delete what the store needs. */
  readonly isSound: boolean;
}

/**
 * Checks whether a bucket can keep a store: three requests, at once. Missing permissions are not a
 * fault: then it warns about versioning, which loses updates on some services, and ignores
 * lifecycle rules.
 *
 * @throws `NOT_FOUND` when there is no such bucket; `DENIED` when a missing key answers 403, which
 * no store can work with; `INVALID_ARGUMENT` for a versioned bucket, unless the configuration
 * allows it, or a wrong region.
 */
export async function checkBucket(
  requests: S3Requests,
  onWarning: (message: string) => void,
  bounds: RequestOptions,
): Promise<BucketFacts> {
  const { bucket, prefix, allowVersioned } = requests.location;
  const settled = await Promise.allSettled([
    askForMissingKey(requests, bounds),
    versioningOf(requests, bounds),
    harmfulRulesOf(requests, bounds),
  ]);
  // In this order: a bucket that is not there has no settings either.
  const [missing, versioned, ruled] = settled;
  if (missing.status === 'rejected') throw missing.reason;
  if (versioned.status === 'rejected') throw versioned.reason;
  if (ruled.status === 'rejected') throw ruled.reason;
  const versioning = versioned.value;
  if (versioning === 'enabled' && !allowVersioned) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `bucket ${bucket} keeps old versions: ${VERSIONING_ADVICE}`,
    );
  }
  if (versioning === 'denied') {
    onWarning(
      `whether bucket ${bucket} keeps old versions cannot be seen: the credentials lack ` +
        's3:GetBucketVersioning',
    );
  }
  for (const { id, harm } of ruled.value ?? []) {
    onWarning(
      `lifecycle rule ${id} of bucket ${bucket} ${harm} below ${prefix || '/'}: the store ` +
        'would lose them',
    );
  }
  return {
    versioning: versioning === 'denied' ? 'unknown' : versioning,
    harmfulRules: ruled.value?.map(({ id }) => id),
    isSound: (ruled.value ?? []).length === 0,
  };
}

/**
 * What the answer to a write shows: a bucket that keeps old versions names the new one. (`null`: it
 * did so once.)
 */
export function keepsVersions(
  { allowVersioned }: Pick<S3Location, 'allowVersioned'>,
  version: string | undefined,
): { readonly keepsVersions?: true } {
  const isVersioned = version !== undefined && version !== '' && version !== 'null';
  return isVersioned && !allowVersioned ? { keepsVersions: true } : {};
}

/** A key that is not there must be seen to be not there. */
async function askForMissingKey(requests: S3Requests, bounds: RequestOptions): Promise<void> {
  const { bucket, prefix } = requests.location;
  const key = `${prefix}${PROBE_PREFIX}${crypto.randomUUID()}`;
  const answer = await requests.ask({
    verb: 'get',
    action: 's3:GetObject',
    key,
    bounds,
    send: (client, sdk, options) =>
      client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }), options),
    use: () => undefined,
  });
  if (!answer.isAnswered && answer.effect !== 'missing') throw answer.error;
}

async function versioningOf(
  requests: S3Requests,
  bounds: RequestOptions,
): Promise<BucketFacts['versioning'] | 'denied'> {
  const answer = await requests.ask({
    verb: 'get',
    action: 's3:GetBucketVersioning',
    bounds,
    send: (client, sdk, options) =>
      client.send(
        new sdk.GetBucketVersioningCommand({ Bucket: requests.location.bucket }),
        options,
      ),
    use: ({ Status }) => Status,
  });
  if (answer.isAnswered)
    return answer.value === 'Enabled'
      ? 'enabled'
      : answer.value === 'Suspended'
        ? 'suspended'
        : 'off';
  if (answer.error.retryable || answer.error.code === 'ABORTED') throw answer.error;
  return answer.error.code === 'DENIED' ? 'denied' : 'unknown';
}

interface HarmfulRule {
  readonly id: string;
  readonly harm: string;
}

async function harmfulRulesOf(
  requests: S3Requests,
  bounds: RequestOptions,
): Promise<HarmfulRule[] | undefined> {
  const { bucket, prefix } = requests.location;
  const answer = await requests.ask({
    verb: 'get',
    action: 's3:GetLifecycleConfiguration',
    bounds,
    send: (client, sdk, options) =>
      client.send(new sdk.GetBucketLifecycleConfigurationCommand({ Bucket: bucket }), options),
    use: ({ Rules }) => Rules ?? [],
  });
  if (answer.isAnswered) return answer.value.flatMap((rule) => harmOf(rule, prefix));
  if (answer.error.retryable || answer.error.code === 'ABORTED') throw answer.error;
  // 404: there are none.
  return answer.effect === 'missing' ? [] : undefined;
}

/** Varve's objects have no tags, and a rule that asks for one does not concern them. */
function harmOf(
  { ID, Status, Filter, Prefix, Expiration, Transitions }: LifecycleRule,
  prefix: string,
): HarmfulRule[] {
  const isForTagged = Filter?.Tag !== undefined || (Filter?.And?.Tags?.length ?? 0) > 0;
  const under = Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';
  const isElsewhere = !under.startsWith(prefix) && !prefix.startsWith(under);
  if (Status !== 'Enabled' || isForTagged || isElsewhere) return [];
  const id = ID ?? '(without an id)';
  if (Expiration?.Days !== undefined || Expiration?.Date !== undefined)
    return [{ id, harm: 'deletes objects' }];
  const archives = Transitions?.some(
    ({ StorageClass }) => StorageClass === 'GLACIER' || StorageClass === 'DEEP_ARCHIVE',
  );
  return archives ? [{ id, harm: 'moves objects to an archive class' }] : [];
}
