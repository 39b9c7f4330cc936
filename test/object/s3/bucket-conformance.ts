import { randomUUID } from 'node:crypto';
import type { OpenProviderOptions } from '../../../src/backends/object/open-provider.ts';
import { openS3 } from '../../../src/backends/object/open-s3.ts';
import type { S3Config } from '../../../src/backends/storage/s3/s3-location.ts';
import { describeBackend } from '../../conformance/backend-conformance.ts';

/** Runs the suite on one bucket, with a prefix for each store. */
export function describeOnBucket(name: string, configOf: () => Omit<S3Config, 'prefix'>): void {
  describeBackend(name, {
    // Each test opens a store of its own, which takes a dozen requests, so long tests are
    // shortened.
    modelRuns: 3,
    manyManifests: 1100,
    scale: 0.05,
    open: async () => {
      const config = { ...configOf(), prefix: randomUUID() };
      const again = (options?: OpenProviderOptions) => openS3(config, options);
      const backend = await again();
      return {
        backend,
        reopen: again,
        second: again,
        readOnly: () => again({ readOnly: true }),
        dispose: () => backend.close(),
      };
    },
  });
}
