/**
 * The import direction, one rule a layer:
 *
 *   cli → store → { gc → manifest } → cas → backends/contract
 *
 * Leaves (src/core/, src/cas/codec/) are open to all and import only leaves. Only store.ts imports
 * concrete backends. `scripts/lint-imports.mjs` runs this; `test/tooling/imports.test.ts` proves
 * that each rule can fail.
 */

const LEAF = '^src/(core|cas/codec)/';
const INTERFACE = '^src/backends/contract/';
const STORE = String.raw`^src/(store|open-options)\.ts$`;
const CLI_PACKAGES = '(^|/)node_modules/(commander|cli-progress)/';
const STORAGE_PACKAGES = '(^|/)node_modules/(better-sqlite3|@aws-sdk)/';

/** Files under `from` may import from src/ only what `allowed` lists. */
function layer(name, from, allowed, comment, restriction = {}) {
  return {
    name,
    severity: 'error',
    comment,
    from: { path: from },
    to: { path: '^src/', pathNot: allowed, ...restriction },
  };
}

module.exports = {
  forbidden: [
    layer('leaves', LEAF, [LEAF], 'A leaf imports only leaves.'),
    layer(
      'backend-interface',
      INTERFACE,
      [INTERFACE, LEAF],
      'The contract of backends knows no backend, and nothing above it.',
    ),
    layer(
      'backends',
      '^src/backends/(?!contract/)([^/]+)/',
      ['^src/backends/($1|storage)/', INTERFACE, LEAF],
      'A backend imports itself, the interface and leaves: nothing above, and no other backend.',
    ),
    layer(
      'cas',
      '^src/cas/',
      ['^src/cas/', INTERFACE, LEAF],
      'cas imports the backend interface and leaves.',
    ),
    layer(
      'manifest',
      '^src/manifest/',
      ['^src/manifest/', '^src/cas/', INTERFACE, LEAF],
      'manifest imports cas, the backend interface and leaves.',
    ),
    layer(
      'gc',
      '^src/gc/',
      ['^src/gc/', '^src/manifest/', '^src/cas/', INTERFACE, LEAF],
      'gc imports manifest, cas, the backend interface and leaves.',
    ),
    layer(
      'store',
      STORE,
      ['^src/(gc|manifest|cas|backends)/', STORE, LEAF],
      'store.ts puts the layers together; it knows neither the CLI nor the public index.',
    ),
    layer(
      'cli',
      '^src/cli/',
      ['^src/cli/', STORE, LEAF],
      'The CLI uses the library through store.ts; below it, only types.',
      { dependencyTypesNot: ['type-only'] },
    ),
    layer(
      'index',
      String.raw`^src/index\.ts$`,
      ['^src/(gc|manifest|cas)/', INTERFACE, STORE, LEAF],
      'The public index re-exports the library: no concrete backend, no CLI.',
    ),
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Two files that import each other are one file, or three.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-dev-dependencies',
      severity: 'error',
      comment: 'Who installs Varve gets the dependencies only.',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'resolvable',
      severity: 'error',
      comment: 'The import leads nowhere.',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'cli-packages',
      severity: 'error',
      comment: 'Packages for the command line have no place in the library.',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: CLI_PACKAGES },
    },
    {
      name: 'storage-packages',
      severity: 'error',
      comment: 'Only a concrete backend talks to SQLite or to a service.',
      from: { path: '^src/', pathNot: '^src/backends/[^/]+/' },
      to: { path: STORAGE_PACKAGES },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
