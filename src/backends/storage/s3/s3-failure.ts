import { type ErrorCode, isVarveError, VarveError } from '../../../core/errors.ts';
import { ServiceFault, wasTurnedAway } from '../service-fault.ts';

/** What a request that was not answered as hoped did. */
export interface S3Failure {
  /**
   * `refused`: its condition does not hold, or another request won. `missing`: no such key.
   * `not-done`: it changed nothing. `unknown`: it may have happened, or may happen yet.
   */
  readonly effect: 'refused' | 'missing' | 'not-done' | 'unknown';
  readonly error: VarveError;
}

/** The request that failed, for the message. */
export interface S3Request {
  /** The permission it needs: `s3:GetObject`. */
  readonly action: string;
  readonly bucket: string;
  /** The key, or the prefix of a listing. */
  readonly key?: string | undefined;
  readonly endpoint?: string | undefined;
  /** The region asked. */
  readonly region?: string | undefined;
}

type Effect = S3Failure['effect'];
interface Rule {
  readonly code: ErrorCode;
  readonly effect?: Effect;
  readonly advice?: string;
}

const CREDENTIALS = 'see that the credentials are those of this service, and are complete';
const MISSING_BUCKET: Rule = {
  code: 'NOT_FOUND',
  advice: 'there is no such bucket here: create it, or correct its name, region or endpoint',
};
const EXPIRED: Rule = {
  code: 'DENIED',
  advice:
    'the session token has expired: get new credentials, or configure a provider that renews them',
};
const SKEW: Rule = {
  code: 'DENIED',
  advice: "this machine's clock differs too much from the service's: set it right",
};
const THROTTLED: Rule = {
  code: 'THROTTLED',
  effect: 'unknown',
  advice: 'the service asked to slow down',
};
const BUSY: Rule = {
  code: 'UNAVAILABLE',
  effect: 'unknown',
  advice: 'the service had a failure of its own',
};
const NOT_DONE: Rule = {
  code: 'UNAVAILABLE',
  advice: 'the service did not get the whole request in time',
};
const DAMAGED: Rule = { code: 'UNAVAILABLE', advice: 'the request was damaged on its way' };
const RACE: Rule = {
  code: 'UNAVAILABLE',
  effect: 'refused',
  advice: 'another request is in the way',
};
const REGION: Rule = { code: 'INVALID_ARGUMENT', advice: 'the bucket is in another region' };
const FULL: Rule = {
  code: 'NO_SPACE',
  advice: 'the quota or the disks of the service are used up',
};
const NO_CREDENTIALS: Rule = {
  code: 'DENIED',
  advice:
    'no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a ' +
    'role, or ask anonymously',
};
const NO_CONNECTION: Rule = {
  code: 'UNAVAILABLE',
  advice: 'no connection: is the endpoint right, and up?',
};
const NO_TLS: Rule = {
  code: 'INVALID_ARGUMENT',
  advice:
    'no secure connection: the endpoint does not speak TLS (is it http://?) or its ' +
    'certificate is not trusted',
};

/**
 * By the name that the service or the system gives; messages are empty on some services, so they
 * are never looked at.
 */
const BY_NAME: Readonly<Record<string, Rule>> = {
  NoSuchKey: { code: 'NOT_FOUND', effect: 'missing' },
  NoSuchBucket: MISSING_BUCKET,
  PreconditionFailed: RACE,
  ConditionalRequestConflict: RACE,
  ConcurrentModification: RACE,
  OperationAborted: RACE,
  InvalidAccessKeyId: {
    code: 'DENIED',
    advice: `the access key is unknown to the service: ${CREDENTIALS}`,
  },
  SignatureDoesNotMatch: {
    code: 'DENIED',
    advice: `the secret key does not belong to the access key: ${CREDENTIALS}`,
  },
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  InvalidToken: { code: 'DENIED', advice: `the session token is not valid: ${CREDENTIALS}` },
  RequestTimeTooSkewed: SKEW,
  RequestExpired: SKEW,
  InvalidObjectState: {
    code: 'DENIED',
    advice: 'the object was moved to an archive class: restore it first',
  },
  SlowDown: THROTTLED,
  SlowDownRead: THROTTLED,
  SlowDownWrite: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  TooManyRequests: THROTTLED,
  BandwidthLimitExceeded: THROTTLED,
  NoSuchUpload: { code: 'UNAVAILABLE', advice: 'the upload in parts was ended by somebody else' },
  RequestTimeout: NOT_DONE,
  IncompleteBody: NOT_DONE,
  BadDigest: DAMAGED,
  InvalidDigest: DAMAGED,
  XAmzContentChecksumMismatch: DAMAGED,
  XAmzContentSHA256Mismatch: DAMAGED,
  InternalError: BUSY,
  ServiceUnavailable: BUSY,
  PermanentRedirect: REGION,
  TemporaryRedirect: REGION,
  Redirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  EntityTooLarge: { code: 'TOO_LARGE', advice: 'the service does not take objects of this size' },
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
  XMinioAdminBucketQuotaExceeded: FULL,
  NotImplemented: {
    code: 'INVALID_ARGUMENT',
    advice: 'the service does not have what Varve needs',
  },
  CredentialsProviderError: NO_CREDENTIALS,
  ProviderError: NO_CREDENTIALS,
  TokenProviderError: EXPIRED,
  ECONNREFUSED: NO_CONNECTION,
  ENOTFOUND: {
    code: 'UNAVAILABLE',
    advice: 'no such host: is the endpoint right? a bucket in the host needs pathStyle=true',
  },
  EAI_AGAIN: NO_CONNECTION,
  EHOSTUNREACH: NO_CONNECTION,
  ENETUNREACH: NO_CONNECTION,
  ConnectTimeout: NO_CONNECTION,
  EPROTO: NO_TLS,
  CERT_HAS_EXPIRED: NO_TLS,
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_TLS,
  SELF_SIGNED_CERT_IN_CHAIN: NO_TLS,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NO_TLS,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: NO_TLS,
};

function ruleOfStatus(status: number | undefined, action: string): Rule {
  // No answer, or one without a reason.
  if (status === undefined || status < 300) return { code: 'UNAVAILABLE', effect: 'unknown' };
  if (status < 400) return REGION;
  switch (status) {
    case 401:
      return { code: 'DENIED', advice: CREDENTIALS };
    case 403:
      return { code: 'DENIED', advice: permissionAdvice(action) };
    case 404:
      return {
        code: 'NOT_FOUND',
        effect: 'missing',
        advice: 'nothing is there: is the endpoint that of S3?',
      };
    case 408:
      return NOT_DONE;
    case 409:
    case 412:
      return RACE;
    case 429:
      return THROTTLED;
    case 501:
      return BY_NAME['NotImplemented'] as Rule;
    case 507:
      return FULL;
  }
  return status >= 500
    ? BUSY
    : { code: 'INVALID_ARGUMENT', advice: 'the service does not accept the request' };
}

function permissionAdvice(action: string): string {
  const advice = `the credentials lack ${action} for it`;
  return action === 's3:GetObject'
    ? `${advice}, or s3:ListBucket, without which a missing key answers 403 as well`
    : advice;
}

/** What a failed request did and what its caller can do, by the names and the status alone. */
export function describeFailure(thrown: unknown, request: S3Request): S3Failure {
  if (isVarveError(thrown)) return { effect: 'unknown', error: thrown };
  const fault = faultOf(thrown);
  const rule = BY_NAME[fault.name] ?? ruleOfStatus(fault.status, request.action);
  const { code } = rule;
  const effect = wasTurnedAway(fault) ? 'not-done' : (rule.effect ?? 'not-done');
  const answer = fault.status === undefined ? fault.name : `${fault.status} ${fault.name}`;
  const object = `${request.bucket}${request.key === undefined ? '' : `/${request.key}`}`;
  const advice = rule === REGION ? regionAdvice(thrown, request) : (rule.advice ?? fault.message);
  const at = request.endpoint === undefined ? '' : ` at ${request.endpoint}`;
  const message =
    `${request.action.replace(/^s3:/, '')} ${object}${at} failed ` +
    `(${answer})${advice === '' ? '' : `: ${advice}`}`;
  return { effect, error: new VarveError(code, message, { cause: fault }) };
}

function regionAdvice(thrown: unknown, { region }: S3Request): string {
  const actual = textOf(thrown, 'Region') ?? headersOf(thrown)['x-amz-bucket-region'];
  const asked = region === undefined ? '' : `, not in ${region}`;
  return actual === undefined
    ? `the bucket is in another region${asked}, or under another endpoint: say region=… and ` +
        'endpoint=…'
    : `the bucket is in region ${actual}${asked}: say region=${actual}`;
}

/** Takes out of a client's error what is known to hold no credentials. */
function faultOf(thrown: unknown): ServiceFault {
  const metadata = fieldOf(thrown, '$metadata');
  const status =
    fieldOf(metadata, 'httpStatusCode') ?? fieldOf(fieldOf(thrown, '$response'), 'statusCode');
  return new ServiceFault(messageOf(thrown), {
    name: nameOf(thrown),
    status: typeof status === 'number' ? status : undefined,
    requestId: textOf(metadata, 'requestId'),
    retryAfterMs: retryAfterMs(headersOf(thrown)['retry-after']),
  });
}

function nameOf(thrown: unknown): string {
  const code = textOf(thrown, 'code');
  const name = textOf(thrown, 'name') ?? 'Error';
  // A connection to a host of several addresses fails with all their errors.
  const first = thrown instanceof AggregateError ? textOf(thrown.errors[0], 'code') : undefined;
  if (code !== undefined && code in BY_NAME) return code;
  if (first !== undefined) return first;
  // Other time-outs of the client may come after the request was sent.
  if (name === 'TimeoutError' && /did not establish a connection/i.test(messageOf(thrown)))
    return 'ConnectTimeout';
  if (name === 'TimeoutError' || name === 'Error') return code ?? name;
  return name;
}

function messageOf(thrown: unknown): string {
  const message = textOf(thrown, 'message') ?? '';
  // The command that provides credentials may hold some, and a parser's error quotes what it could
  // not parse.
  const isPrivate = /command failed|deserialization/i.test(message);
  return isPrivate || message === 'UnknownError' ? '' : message.slice(0, 500);
}

function headersOf(thrown: unknown): Record<string, string | undefined> {
  const headers = fieldOf(fieldOf(thrown, '$response'), 'headers');
  return typeof headers === 'object' && headers !== null ? (headers as Record<string, string>) : {};
}

function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const text = fieldOf(value, name);
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
