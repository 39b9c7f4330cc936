/**
 * Other programs that keep a corpus small, for comparison in the same run. Each stores it once into
 * an empty place.
 *
 * `zstd` compresses the file as a whole: small, but nothing in it can be read, added or deleted by
 * itself. The others get a folder with one file a conversation, so that each conversation can be.
 * zstd and casync do not flush to the disk.
 */
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from './process.mjs';

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {readonly string[]} version command that prints it
 * @property {string} package of Debian
 * @property {(place: Place) => Promise<void>} [prepare] not measured
 * @property {(place: Place) => Command} store measured
 */

/**
 * @typedef {object} Place
 * @property {string} file the corpus as one file
 * @property {string} folder the corpus, one file a conversation
 * @property {string} target an empty folder
 */

/**
 * @typedef {{ commandLine: readonly string[], cwd?: string, env?: Record<string, string> }} Command
 */

/** @param {string} target */
const resticEnvironment = (target) => ({
  RESTIC_PASSWORD: 'bench',
  RESTIC_REPOSITORY: join(target, 'repository'),
  RESTIC_CACHE_DIR: `${target}-cache`,
});

/** @param {string} target */
const borgEnvironment = (target) => ({
  BORG_REPO: join(target, 'repository'),
  BORG_BASE_DIR: `${target}-base`,
});

/** @type {readonly Peer[]} */
const PEERS = [
  {
    name: 'zstd -3, one file',
    version: ['zstd', '--version'],
    package: 'zstd',
    store: ({ file, target }) => ({
      commandLine: ['zstd', '-q', '-3', '-o', join(target, 'corpus.zst'), file],
    }),
  },
  {
    name: 'restic',
    version: ['restic', 'version'],
    package: 'restic',
    prepare: async ({ target }) =>
      void (await run(['restic', 'init'], { env: resticEnvironment(target) })),
    store: ({ folder, target }) => ({
      commandLine: ['restic', 'backup', '--quiet', '.'],
      cwd: folder,
      env: resticEnvironment(target),
    }),
  },
  {
    name: 'borg (zstd,3)',
    version: ['borg', '--version'],
    package: 'borgbackup',
    prepare: async ({ target }) =>
      void (await run(['borg', 'init', '-e', 'none'], { env: borgEnvironment(target) })),
    store: ({ folder, target }) => ({
      commandLine: ['borg', 'create', '--compression', 'zstd,3', '::corpus', '.'],
      cwd: folder,
      env: borgEnvironment(target),
    }),
  },
  {
    name: 'casync',
    version: ['casync', '--version'],
    package: 'casync',
    store: ({ folder, target }) => ({
      commandLine: [
        'casync',
        'make',
        `--store=${join(target, 'store.castr')}`,
        join(target, 'corpus.caidx'),
        folder,
      ],
    }),
  },
];

/**
 * The peers that are installed, with their versions; says which are not.
 *
 * @returns {Promise<{ peer: Peer, version: string }[]>}
 */
export async function installedPeers() {
  const found = [];
  for (const peer of PEERS) {
    try {
      const { stdout } = await run(peer.version);
      found.push({ peer, version: /\d+\.[\w.+-]+|\d+$/m.exec(stdout)?.[0] ?? 'unknown' });
    } catch {
      console.error(
        `*** ${peer.name} is NOT COMPARED: it is not installed (Debian package ${peer.package})`,
      );
    }
  }
  return found;
}

/**
 * Writes each line of a JSONL file as a file of its own.
 *
 * @param {string} file
 * @param {string} folder
 */
export async function explode(file, folder) {
  mkdirSync(folder);
  let number = 0;
  for await (const line of createInterface({
    input: createReadStream(file),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    writeFileSync(join(folder, `${String(number++).padStart(7, '0')}.json`), `${line}\n`);
  }
}

/**
 * @param {Peer} peer
 * @param {Place} place
 */
export async function storeWith(peer, place) {
  mkdirSync(place.target);
  await peer.prepare?.(place);
  const { commandLine, ...options } = peer.store(place);
  return run(commandLine, options);
}
