/**
 * Bundles the sources into what the package runs: the library and the command line, in a few files
 * that share chunks. Finding and loading some hundred files takes longer than most commands.
 * Packages stay outside, and what is imported lazily stays in chunks of its own.
 *
 * Usage: node scripts/build.mjs [--internals]
 *
 * --internals: also makes what benchmarks import; the package does not have it.
 */
import { chmodSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Modules that benchmarks import besides. */
const INTERNALS = [
  'backends/local/database/sqlite-driver',
  'backends/storage/memory-store',
  'backends/storage/request-meter',
  'backends/storage/s3/open-s3-objects',
];

const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

await build({
  cwd: root,
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    // For tests, which run many commands in one process.
    'cli/run-cli': 'src/cli/run-cli.ts',
    ...(process.argv.includes('--internals') &&
      Object.fromEntries(INTERNALS.map((path) => [path, `src/${path}.ts`]))),
  },
  platform: 'node',
  external: /^[^./]/,
  transform: { target: 'node20.19', define: { BUNDLED_VERSION: JSON.stringify(version) } },
  output: {
    dir: 'dist',
    format: 'esm',
    chunkFileNames: 'chunks/[name].js',
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
  logLevel: 'warn',
});
chmodSync(`${root}/dist/cli/main.js`, 0o755);
