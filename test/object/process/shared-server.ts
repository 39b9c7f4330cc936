import { newBucket, realServer } from '../s3/real-server.ts';
import { S3Server } from '../s3/s3-server.ts';

/** A bucket that several processes can reach. */
export interface SharedServer {
  readonly name: string;
  /**
   * Of a store in the bucket. Its credentials are in the environment, which child processes
   * inherit.
   */
  readonly location: (prefix: string) => string;
  readonly stop: () => Promise<void>;
}

/** A bucket of the real server if there is one, else of a server in this process. */
export async function sharedServer(): Promise<SharedServer> {
  const real = realServer();
  if (real === undefined) {
    const server = await new S3Server().start();
    setCredentials('an-access-key', 'a-secret-key');
    return {
      name: 'a server in this process',
      location: (prefix) => locationOf(server.bucket, prefix, server.endpoint, 'here-1'),
      stop: () => server.close(),
    };
  }
  const server = await real.start();
  const bucket = await newBucket(server);
  const { endpoint = '', region = '', credentials } = server.config;
  const { accessKeyId, secretAccessKey } = credentials as {
    accessKeyId: string;
    secretAccessKey: string;
  };
  setCredentials(accessKeyId, secretAccessKey);
  return {
    name: real.name,
    location: (prefix) => locationOf(bucket, prefix, endpoint, region),
    stop: server.close,
  };
}

function locationOf(bucket: string, prefix: string, endpoint: string, region: string): string {
  return `s3://${bucket}/${prefix}?${new URLSearchParams({ endpoint, region, pathStyle: 'true' })}`;
}

function setCredentials(accessKeyId: string, secretAccessKey: string): void {
  process.env['AWS_ACCESS_KEY_ID'] = accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = secretAccessKey;
}
