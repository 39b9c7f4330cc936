import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests that replace modules need a world of their own. */
const MOCKING = ['test/local/faults.test.ts', 'test/acceptance/seams.test.ts'];

export default defineConfig({
  // Examples import the package by its name.
  resolve: { alias: { varve: fileURLToPath(new URL('./src/index.ts', import.meta.url)) } },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // By default a core stays idle, and of two that is half.
    maxWorkers: Math.max(2, availableParallelism()),
    // The SDK's advice to use a newer Node is not what a test run is about.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    projects: [
      {
        extends: true,
        // Modules are loaded once a worker, not once a file: tests keep nothing in them.
        test: {
          name: 'library',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cli/**', ...MOCKING],
          globalSetup: ['test/local/process/run-folder.ts'],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'mocking', include: MOCKING } },
      {
        extends: true,
        test: {
          name: 'cli',
          include: ['test/cli/**/*.test.ts'],
          globalSetup: ['test/cli/build.ts'],
        },
      },
    ],
    coverage: { provider: 'v8', include: ['src/**'] },
  },
});
