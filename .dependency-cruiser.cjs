/**
 * The import direction: what each folder of src/ may import, besides itself. The list goes from the
 * ground up: a folder imports only what stands above it in the list.
 *
 * `scripts/lint-imports.mjs` runs this, and fails for a folder that is not in the list;
 * `test/tooling/imports.test.ts` shows that each rule can fail.
 */

const CORE = ['core', 'core/collections', 'core/options', 'core/sorting', 'core/system'];
const BELOW_BACKENDS = [...CORE, 'cas/codec', 'backends/contract'];
const OPENING = ['open-options.ts', 'open.ts'];
const FACE = ['open-options.ts', 'location.ts', 'open.ts', 'store.ts', 'recovery.ts'];

const OBJECT = wingsOf('backends/object', {
  format: [],
  tables: ['format', 'backends/storage'],
  segments: ['format', 'tables', 'backends/storage'],
  listing: ['format', 'tables', 'backends/storage'],
  heads: ['format', 'tables', 'listing', 'backends/storage'],
  commit: ['format', 'tables', 'segments', 'listing', 'heads', 'backends/storage'],
  operations: ['format', 'tables', 'listing', 'heads', 'backends/storage'],
  collect: [
    ...['format', 'tables', 'segments', 'listing', 'heads', 'commit', 'operations'],
    'backends/storage',
  ],
  audit: ['format', 'tables', 'segments', 'listing', 'heads', 'commit', 'backends/storage'],
});

const LOCAL = wingsOf('backends/local', {
  format: [],
  files: ['format'],
  database: ['format', 'files'],
  fingerprints: ['format', 'database'],
  packs: ['format', 'files', 'database'],
  tables: ['format', 'files', 'database', 'fingerprints', 'packs'],
  commit: ['format', 'files', 'database', 'packs', 'tables'],
  audit: ['format', 'files', 'database', 'fingerprints', 'packs', 'tables', 'commit'],
  collect: ['format', 'files', 'database', 'packs', 'tables', 'commit', 'audit'],
  operations: ['format', 'files', 'database', 'packs', 'tables', 'commit'],
  salvage: ['format', 'files', 'database', 'packs', 'tables', 'commit'],
});

/** @type {Readonly<Record<string, readonly string[]>>} */
const MAY_IMPORT = {
  core: [],
  'core/collections': ['core'],
  'core/system': ['core'],
  'core/options': ['core'],
  'core/sorting': ['core', 'core/system'],
  'cas/codec': ['core'],

  'backends/contract': ['core', 'core/options'],

  // Services that store objects. They know no protocol, and no backend.
  'backends/storage': ['core', 'core/system'],
  'backends/storage/decorators': ['core', 'core/system', 'backends/storage'],
  'backends/storage/s3': ['core', 'core/options', 'core/system', 'backends/storage'],

  // The backend on objects. Its formats know no table.
  ...OBJECT,
  'backends/object': [
    ...BELOW_BACKENDS,
    ...['backends/storage', 'backends/storage/decorators', 'backends/storage/s3'],
    ...Object.keys(OBJECT),
  ],

  // The backend in a directory. Its formats and files know no database.
  ...LOCAL,
  'backends/local': [...BELOW_BACKENDS, ...Object.keys(LOCAL)],

  cas: BELOW_BACKENDS,
  'manifest/content': [...BELOW_BACKENDS, 'cas'],
  'manifest/blobs': [...BELOW_BACKENDS, 'cas', 'manifest/content'],
  'manifest/conversations': [...BELOW_BACKENDS, 'cas', 'manifest/content'],
  'manifest/transfer': [...BELOW_BACKENDS, 'cas', 'manifest/content', 'manifest/conversations'],
  manifest: [...BELOW_BACKENDS, 'manifest/content', 'manifest/blobs'],

  gc: BELOW_BACKENDS,
  'gc/usage': BELOW_BACKENDS,
  'gc/replication': [...BELOW_BACKENDS, 'gc'],
  'gc/retention': [...BELOW_BACKENDS, 'manifest/conversations', 'gc'],
  'gc/audit': [...BELOW_BACKENDS, 'manifest/blobs', 'manifest/conversations', 'gc'],
  'gc/erasure': [...BELOW_BACKENDS, 'manifest/content', 'manifest/conversations', 'gc'],
};

/** The command line uses the library through its face; of what is below it, only types. */
const CLI_MAY_IMPORT = {
  'cli/messages': CORE,
  'cli/terminal': [...CORE, 'cli/messages'],
  'cli/session': [...CORE, 'cli/messages', 'cli/terminal'],
  'cli/commands/conversations': [...CORE, 'cli/messages', 'cli/session'],
  'cli/commands/maintenance': [...CORE, 'cli/messages', 'cli/session'],
  'cli/commands': [
    ...[...CORE, 'cli/messages', 'cli/session'],
    ...['cli/commands/conversations', 'cli/commands/maintenance'],
  ],
  cli: [...CORE, 'cli/commands', 'cli/session', 'cli/terminal'],
};

/** The wings of a backend: each may import the wings and folders that it names. */
function wingsOf(backend, wings) {
  const folderOf = (name) => (name.includes('/') ? name : `${backend}/${name}`);
  return Object.fromEntries(
    Object.entries(wings).map(([wing, named]) => [
      folderOf(wing),
      [...BELOW_BACKENDS, ...named.map(folderOf)],
    ]),
  );
}

/** Files of a folder, not of the folders in it; or one file. */
function pathOf(name) {
  return name.endsWith('.ts')
    ? `^src/${name.replace('.', '\\.')}$`
    : String.raw`^src/${name}/[^/]+\.ts$`;
}

/** Files of `name` may import from src/ only their own folder and what `allowed` lists. */
function rule(name, allowed, restriction = {}) {
  return {
    name,
    severity: 'error',
    comment: `May import ${allowed.join(', ') || 'nothing else'}.`,
    from: { path: pathOf(name) },
    to: { path: '^src/', pathNot: [name, ...allowed].map(pathOf), ...restriction },
  };
}

const LIBRARY = Object.keys(MAY_IMPORT);
const ABSTRACT = LIBRARY.filter((folder) => !/^backends\/(?!contract)/.test(folder));

module.exports = {
  folders: { ...MAY_IMPORT, ...CLI_MAY_IMPORT },
  forbidden: [
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => rule(folder, allowed)),
    ...Object.entries(CLI_MAY_IMPORT).map(([folder, allowed]) =>
      rule(folder, [...allowed, ...FACE], { dependencyTypesNot: ['type-only'] }),
    ),
    // Only the opening knows concrete backends; the rest of the face, no more than their types.
    ...OPENING.map((file) => rule(file, [...LIBRARY, ...FACE])),
    ...FACE.filter((file) => !OPENING.includes(file)).map((file) =>
      rule(file, [...ABSTRACT, ...FACE], { dependencyTypesNot: ['type-only'] }),
    ),
    rule('index.ts', [...ABSTRACT, ...FACE]),
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
      to: { path: '(^|/)node_modules/(commander|cli-progress)/' },
    },
    {
      name: 'sealed-frames',
      severity: 'error',
      comment: 'Frames are stored and read through their seal.',
      from: { path: '^src/', pathNot: '^src/cas/codec/seal\\.ts$' },
      to: { path: '^src/cas/codec/frame\\.ts$' },
    },
    {
      name: 'sqlite',
      severity: 'error',
      comment: 'Only the database of the local backend talks to SQLite.',
      from: { path: '^src/', pathNot: '^src/backends/local/database/' },
      to: { path: '(^|/)node_modules/better-sqlite3/' },
    },
    {
      name: 'aws-sdk',
      severity: 'error',
      comment: 'Only the provider for S3 talks to S3.',
      from: { path: '^src/', pathNot: '^src/backends/storage/s3/' },
      to: { path: '(^|/)node_modules/@aws-sdk/' },
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
