import { VarveError } from '../../../core/errors.ts';
import type { OptionKinds } from '../../../core/options/option-kinds.ts';
import { declareOptions } from '../../../core/options/options.ts';

/** Keys to sign requests with. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
  /** When temporary credentials end; a provider function is asked again before. Default: never. */
  readonly expiration?: Date | undefined;
}

/** Where a store is on S3, and how to reach it. */
export interface S3Config {
  readonly bucket: string;
  /**
   * What the keys of the store begin with; a final `/` is added. Default: none, the store has the
   * bucket for itself.
   */
  readonly prefix?: string | undefined;
  /** Default: AWS_REGION, then the profile in AWS's config files. */
  readonly region?: string | undefined;
  /**
   * `https://…` or `http://…` of a service other than AWS. Default: AWS_ENDPOINT_URL_S3, the
   * profile, AWS.
   */
  readonly endpoint?: string | undefined;
  /**
   * Whether the bucket is named in the path (`endpoint/bucket/key`), not in the host. Default:
   * whether `endpoint` is given.
   */
  readonly pathStyle?: boolean | undefined;
  /**
   * Keys, a function that provides them and is asked again before they expire, or `anonymous` for
   * requests that are not signed. Default: AWS's chain (environment, config files, single sign-on,
   * web identity, container, instance).
   */
  readonly credentials?: S3Credentials | 'anonymous' | (() => Promise<S3Credentials>) | undefined;
  /** Use a bucket that keeps old versions, although they are never collected. Default: false. */
  readonly allowVersioned?: boolean | undefined;
  /**
   * How long a call may take, in ms: as `objects.timeoutMs` of `openStore`; say it in one place.
   * Default: 60,000.
   */
  readonly timeoutMs?: number | undefined;
  /** Until a connection is made, in ms. Default: 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Until a request is answered, in ms, on top of a second for each 128 KiB of its body; and
   * between two pieces of an answer's body. Default: 20,000.
   */
  readonly requestTimeoutMs?: number | undefined;
  /** Connections at once. Default: 64. */
  readonly maxConnections?: number | undefined;
  /**
   * Objects above this size are written and read in parts of it, in bytes; services want at least 5
   * MiB. Default: 16 MiB.
   */
  readonly partBytes?: number | undefined;
}

/** A checked {@link S3Config}: the prefix is empty or ends with `/`. */
export interface S3Location {
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
  readonly credentials: S3Config['credentials'];
  readonly allowVersioned: boolean;
  readonly timeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxConnections: number;
  readonly partBytes: number;
}

/** Keys end at 1,024 bytes, and what Varve adds to the prefix stays below 400. */
const MAX_PREFIX_BYTES = 512;

const AWS_BUCKET = /^(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** What other services allow besides: Ceph has capitals, underscores and long names. */
const ANY_BUCKET = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

const LONGEST_TIMEOUT_MS = 3_600_000;

const S3_CONFIG = declareOptions<S3Config>()({
  required: ['bucket'],
  secret: ['credentials', 'endpoint'],
  defaults: {
    prefix: '',
    allowVersioned: false,
    connectTimeoutMs: 5000,
    requestTimeoutMs: 20_000,
    maxConnections: 64,
    partBytes: 16 * 1024 * 1024,
  },
  members: (is: OptionKinds) => ({
    bucket: is.text,
    prefix: is.text,
    region: is.of<string>(isRegion, 'letters, digits and hyphens'),
    endpoint: is.text,
    pathStyle: is.flag,
    credentials: is.of<NonNullable<S3Config['credentials']>>(
      isCredentials,
      "{accessKeyId, secretAccessKey, sessionToken?, expiration?}, 'anonymous' or a function",
    ),
    allowVersioned: is.flag,
    timeoutMs: is.whole(1, LONGEST_TIMEOUT_MS),
    connectTimeoutMs: is.whole(1, LONGEST_TIMEOUT_MS),
    requestTimeoutMs: is.whole(1, LONGEST_TIMEOUT_MS),
    maxConnections: is.whole(1, 10_000),
    partBytes: is.whole(1),
  }),
});

function isRegion(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9-]{1,64}$/.test(value);
}

function isCredentials(value: unknown): boolean {
  if (typeof value === 'function' || value === 'anonymous') return true;
  if (typeof value !== 'object' || value === null) return false;
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = value as Record<
    string,
    unknown
  >;
  return (
    isKey(accessKeyId) &&
    isKey(secretAccessKey) &&
    (sessionToken === undefined || isKey(sessionToken)) &&
    (expiration === undefined || expiration instanceof Date)
  );
}

function isKey(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

const FLAGS: ReadonlySet<string> = new Set(['pathStyle', 'allowVersioned', 'anonymous']);
const TIMEOUTS: ReadonlySet<string> = new Set([
  'timeoutMs',
  'connectTimeoutMs',
  'requestTimeoutMs',
]);
const PARAMETERS: ReadonlySet<string> = new Set(['region', 'endpoint', ...FLAGS, ...TIMEOUTS]);
const CREDENTIAL_NAME = /key|secret|token|password|credential|signature/i;

/**
 * Reads `s3://bucket/prefix?region=…&endpoint=…&pathStyle=true&allowVersioned=true&anonymous=true`
 * and `&timeoutMs=…&connectTimeoutMs=…&requestTimeoutMs=…`, in which all but the bucket is
 * optional, or the same as an object. A prefix in a URL is percent-encoded where it must be.
 *
 * @throws `INVALID_ARGUMENT`, naming what is wrong; values that may be secret are not repeated.
 */
export function parseS3Location(location: string | S3Config): S3Location {
  const config =
    typeof location === 'string' ? (parseUrl(location) as unknown as S3Config) : location;
  const data = S3_CONFIG.read('the configuration of the S3 store', config);
  const endpoint = data.endpoint === undefined ? undefined : checkedEndpoint(data.endpoint);
  checkBucket(data.bucket, endpoint !== undefined);
  return {
    bucket: data.bucket,
    prefix: checkedPrefix(data.prefix),
    region: data.region,
    endpoint,
    pathStyle: data.pathStyle ?? endpoint !== undefined,
    credentials: data.credentials,
    allowVersioned: data.allowVersioned,
    timeoutMs: data.timeoutMs,
    connectTimeoutMs: data.connectTimeoutMs,
    requestTimeoutMs: data.requestTimeoutMs,
    maxConnections: data.maxConnections,
    partBytes: data.partBytes,
  };
}

/**
 * As a URL that opens the same store again, given credentials; it never holds them, nor how long to
 * wait.
 */
export function formatS3Location({
  bucket,
  prefix,
  region,
  endpoint,
  pathStyle,
  ...rest
}: S3Location): string {
  const parameters = new URLSearchParams();
  if (region !== undefined) parameters.set('region', region);
  if (endpoint !== undefined) parameters.set('endpoint', endpoint);
  if (pathStyle !== (endpoint !== undefined)) parameters.set('pathStyle', String(pathStyle));
  if (rest.allowVersioned) parameters.set('allowVersioned', 'true');
  if (rest.credentials === 'anonymous') parameters.set('anonymous', 'true');
  const path = prefix.replace(/\/$/, '').split('/').map(encodeURIComponent).join('/');
  // What may stand in a query as it is, so that people can read it.
  const query = parameters.toString().replaceAll('%3A', ':').replaceAll('%2F', '/');
  return `s3://${bucket}${path === '' ? '' : `/${path}`}${query === '' ? '' : `?${query}`}`;
}

function parseUrl(url: string): Record<string, unknown> {
  const match = /^s3:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(#.*)?$/is.exec(url);
  if (match === null) throw invalid('an S3 location is written s3://bucket/prefix?region=…');
  const [, bucket = '', path = '', query = '', fragment] = match;
  if (bucket.includes('@'))
    throw invalid('credentials do not belong in a location: set them in the environment');
  if (fragment !== undefined)
    throw invalid('an S3 location has no #fragment: in a prefix, write %23');
  const config: Record<string, unknown> = { bucket, prefix: decoded(path) };
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.has(name)) throw unknownParameter(name);
    if (Object.hasOwn(config, name))
      throw invalid(`the parameter ${name} is in the S3 location twice`);
    config[name] = FLAGS.has(name)
      ? flag(name, value)
      : TIMEOUTS.has(name)
        ? milliseconds(name, value)
        : value;
  }
  const { anonymous, ...rest } = config;
  return anonymous === true ? { ...rest, credentials: 'anonymous' } : rest;
}

function unknownParameter(name: string): VarveError {
  if (CREDENTIAL_NAME.test(name)) {
    return invalid(
      'credentials do not belong in a location: set them in the environment (AWS_ACCESS_KEY_ID …)',
    );
  }
  const named = /^[A-Za-z][A-Za-z-]{0,29}$/.test(name)
    ? `the parameter ${name}`
    : 'one of the parameters';
  return invalid(`${named} of the S3 location is unknown: there are ${[...PARAMETERS].join(', ')}`);
}

function flag(name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false')
    throw invalid(`${name} in an S3 location is true or false`);
  return value === 'true';
}

function milliseconds(name: string, value: string): number {
  if (!/^\d{1,7}$/.test(value))
    throw invalid(`${name} in an S3 location is a whole number of milliseconds, up to 3600000`);
  return Number(value);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw invalid('the prefix of the S3 location is not percent-encoded UTF-8: write % as %25');
  }
}

function checkBucket(bucket: string, isElsewhere: boolean): void {
  if (bucket.endsWith('--x-s3'))
    throw invalid('directory buckets list their keys in no order: use a general purpose bucket');
  if ((isElsewhere ? ANY_BUCKET : AWS_BUCKET).test(bucket)) return;
  const rule = isElsewhere
    ? 'letters, digits, dots, hyphens and underscores'
    : 'lower-case letters, digits, dots, hyphens';
  throw invalid(
    `not a bucket name: ${JSON.stringify(bucket)} (3 to ${isElsewhere ? 255 : 63} ${rule})`,
  );
}

function checkedEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw invalid('the endpoint of an S3 location is a URL that begins with https:// or http://');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('credentials do not belong in an endpoint: set them in the environment');
  }
  if (url.search !== '' || url.hash !== '')
    throw invalid('the endpoint of an S3 location has no query and no fragment');
  return url.href.replace(/\/$/, '');
}

function checkedPrefix(given: string): string {
  const prefix = given.replace(/\/$/, '');
  if (prefix === '') return '';
  const parts = prefix.split('/');
  const fault = parts.includes('')
    ? 'it has an empty part (two slashes, or one at the beginning)'
    : parts.some((part) => part === '.' || part === '..')
      ? 'it has a part . or .., which services and proxies resolve'
      : // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
        /[\u0000-\u001f\u007f]/.test(prefix)
        ? 'it has control characters'
        : !prefix.isWellFormed()
          ? 'it is not well-formed Unicode'
          : Buffer.byteLength(prefix) > MAX_PREFIX_BYTES
            ? `it is longer than ${MAX_PREFIX_BYTES} bytes`
            : undefined;
  if (fault !== undefined)
    throw invalid(`not a prefix for an S3 store: ${JSON.stringify(given.slice(0, 100))}: ${fault}`);
  return `${prefix}/`;
}

function invalid(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', message);
}
