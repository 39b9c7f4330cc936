import { existsSync } from 'node:fs';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Config } from '../../../src/backends/storage/s3/s3-location.ts';

/** The first release that is known to honour both conditions. */
const MINIO_IMAGE = 'minio/minio:RELEASE.2025-09-07T16-13-09Z';

export interface RealServer {
  readonly config: Omit<S3Config, 'bucket' | 'prefix'>;
  readonly close: () => Promise<void>;
}

type Start = () => Promise<RealServer>;

/**
 * A real server: the one that the environment names, MinIO if containers can be run, or none.
 */
export function realServer(): { readonly name: string; readonly start: Start } | undefined {
  const { VARVE_S3_ENDPOINT, VARVE_S3_REGION, VARVE_S3_ACCESS_KEY, VARVE_S3_SECRET_KEY } =
    process.env;
  if (VARVE_S3_ENDPOINT !== undefined) {
    const config = {
      endpoint: VARVE_S3_ENDPOINT,
      region: VARVE_S3_REGION ?? 'us-east-1',
      credentials: {
        accessKeyId: VARVE_S3_ACCESS_KEY ?? '',
        secretAccessKey: VARVE_S3_SECRET_KEY ?? '',
      },
    };
    return {
      name: 'the server of VARVE_S3_ENDPOINT',
      start: async () => ({ config, close: async () => {} }),
    };
  }
  const hasEngine = process.env['DOCKER_HOST'] !== undefined || existsSync('/var/run/docker.sock');
  if (hasEngine) return { name: 'MinIO in a container', start: startMinio };
  console.warn(
    '!!! SKIPPED: no real S3 server: set VARVE_S3_ENDPOINT, VARVE_S3_REGION, ' +
      'VARVE_S3_ACCESS_KEY, VARVE_S3_SECRET_KEY',
  );
  return undefined;
}

/** Creates a bucket with a new name. */
export async function newBucket({ config }: RealServer): Promise<string> {
  const bucket = `varve-test-${Date.now().toString(36)}-${process.pid}`;
  const { endpoint, region, credentials } = config as Required<RealServer['config']>;
  const keys = credentials as { accessKeyId: string; secretAccessKey: string };
  const client = new S3Client({
    endpoint: endpoint as string,
    region: region as string,
    credentials: keys,
    forcePathStyle: true,
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return bucket;
}

async function startMinio(): Promise<RealServer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const credentials = { accessKeyId: 'varve-test', secretAccessKey: 'varve-test-secret' };
  const container = await new GenericContainer(MINIO_IMAGE)
    .withEnvironment({
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
    })
    .withCommand(['server', '/data'])
    .withExposedPorts(9000)
    .withWaitStrategy(Wait.forHttp('/minio/health/ready', 9000))
    .start();
  const endpoint = `http://${container.getHost()}:${container.getMappedPort(9000)}`;
  return {
    config: { endpoint, region: 'us-east-1', credentials },
    close: async () => void (await container.stop()),
  };
}
