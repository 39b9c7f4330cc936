import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Where Linux has a file system in memory. */
const MEMORY = '/dev/shm';

/** Bytes that tests may need at once. */
const SPACE = 2 ** 30;

// Tests flush files some ten thousand times, and a disk takes milliseconds for each. Stores are in
// memory where there is room, unless TMPDIR names a disk: continuous integration does.
if (process.env['TMPDIR'] === undefined && hasSpace(MEMORY)) {
  const folder = mkdtempSync(`${MEMORY}/varve-`);
  process.env['TMPDIR'] = folder;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
}

function hasSpace(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= SPACE;
  } catch {
    return false;
  }
}

/** Tests that replace modules need a world of their own. */
const MOCKING = ['test/local/faults.test.ts', 'test/acceptance/seams.test.ts'];

export default defineConfig({
  // Examples import the package by its name.
  resolve: { alias: { varve: fileURLToPath(new URL('./src/index.ts', import.meta.url)) } },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // By default a core stays idle. One more than there are, because some tests wait.
    maxWorkers: availableParallelism() + 1,
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
          // Tests leave nothing in the caches of whoever runs them.
          env: { NODE_DISABLE_COMPILE_CACHE: '1' },
          globalSetup: ['test/cli/build.ts'],
          isolate: false,
        },
      },
    ],
    coverage: { provider: 'v8', include: ['src/**'] },
  },
});
