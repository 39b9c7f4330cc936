import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { VarveError } from '../../../core/errors.ts';
import { ServiceFault } from '../service-fault.ts';
import type { S3Credentials, S3Location } from './s3-location.ts';

export type S3Sdk = typeof import('@aws-sdk/client-s3');

type Identity = S3Credentials & { sessionToken?: string; expiration?: Date };

export interface ConnectedClient {
  readonly sdk: S3Sdk;
  readonly client: S3Client;
  readonly region: string;
}

const WARNING_SWITCH = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED';
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

/**
 * A client for a location; no request is sent yet. AWS's environment and config files say what the
 * location leaves open.
 *
 * @throws `INVALID_ARGUMENT` when no region is configured.
 */
export async function connectS3(location: S3Location): Promise<ConnectedClient> {
  // Loading it takes 150 ms, which stores elsewhere need not pay.
  const sdk = await import('@aws-sdk/client-s3');
  const client = withoutVersionWarning(() => new sdk.S3Client(settings(location)));
  try {
    return { sdk, client, region: await client.config.region() };
  } catch {
    client.destroy();
    throw new VarveError(
      'INVALID_ARGUMENT',
      `no region for bucket ${location.bucket}: say region=… in the location, or set ` +
        'AWS_REGION or a profile with a region' +
        ' (us-east-1 does for most services other than AWS)',
    );
  }
}

function settings(location: S3Location): S3ClientConfig {
  const { region, endpoint, pathStyle, credentials, connectTimeoutMs, maxConnections } = location;
  const agent = { keepAlive: true, maxSockets: maxConnections };
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    ...identity(credentials),
    // A retried write whose first answer was lost comes back as 412: only the layer above knows
    // what that means.
    maxAttempts: 1,
    // Waiting for "100 Continue" costs a round trip, and the client opens a new connection for
    // each.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      // No idle time: each exchange has a deadline of its own, and knows whether its request was
      // sent.
      httpAgent: agent,
      httpsAgent: agent,
      logger: SILENT,
    },
    logger: SILENT,
  };
}

function identity(credentials: S3Location['credentials']): S3ClientConfig {
  if (credentials === undefined) return {};
  if (credentials === 'anonymous') {
    return {
      credentials: { accessKeyId: '', secretAccessKey: '' },
      signer: { sign: async (request) => request },
    };
  }
  return {
    credentials:
      typeof credentials === 'function' ? () => provided(credentials) : identityOf(credentials),
  };
}

/** A failure of the credentials provider is reported as such: nothing was sent. */
async function provided(provider: () => Promise<S3Credentials>): Promise<Identity> {
  try {
    return identityOf(await provider());
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    throw new ServiceFault(message, { name: 'CredentialsProviderError' });
  }
}

function identityOf({
  accessKeyId,
  secretAccessKey,
  sessionToken,
  expiration,
}: S3Credentials): Identity {
  const ofSession = sessionToken === undefined ? {} : { sessionToken };
  return { accessKeyId, secretAccessKey, ...ofSession, ...(expiration && { expiration }) };
}

/**
 * The client warns on stderr of Node versions that it will stop to support; what it needs is
 * Varve's to say.
 */
function withoutVersionWarning<Result>(construct: () => Result): Result {
  const before = process.env[WARNING_SWITCH];
  process.env[WARNING_SWITCH] = 'true';
  try {
    return construct();
  } finally {
    if (before === undefined) delete process.env[WARNING_SWITCH];
    else process.env[WARNING_SWITCH] = before;
  }
}

function ignore(): void {}
