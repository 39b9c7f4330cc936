import {
  accessSync,
  constants,
  lstatSync,
  readdirSync,
  realpathSync,
  type Stats,
  statfsSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { DoctorFinding, DoctorReport } from '../../contract/rescue.ts';
import { sqliteDriver } from '../database/sqlite-driver.ts';
import { isWriterAlive } from '../database/writer-lock.ts';
import { networkFileSystem } from '../files/network-file-system.ts';
import { INDEX_FILE } from '../files/store-folder.ts';
import { examineIndex } from './doctor-index.ts';

/** Less free space than one more pack needs is a finding. */
const LITTLE_SPACE = 64 * 1024 * 1024;

/** Clocks usually differ by less than this, in ms. */
const CLOCK_TOLERANCE_MS = 5 * 60 * 1000;

/** A larger log has not been folded in for a long time, in bytes. */
const LARGE_LOG = 256 * 1024 * 1024;

const OF_THE_STORE: Readonly<Record<string, RegExp>> = {
  '': /^(varve\.db(-wal|-shm|-journal)?|packs|locks|lost\+found)$/,
  packs: /^\d{8,}\.pack$/,
  locks: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.lock$/,
};

/** A file or folder in the directory of a store. */
interface Entry {
  readonly path: string;
  readonly status: Stats;
  readonly isKnown: boolean;
  readonly isFolder: boolean;
}

/**
 * Checks a store's surroundings: its directory, the medium, the clock. Changes nothing, and reads
 * no content, which an audit verifies.
 *
 * @throws `NOT_FOUND` when there is no store, `INVALID_ARGUMENT` when the path is a file, `DENIED`,
 *   `IO`.
 */
export function examine(path: string): DoctorReport {
  const root = resolve(path);
  try {
    const status = statSync(root, { throwIfNoEntry: false });
    if (status === undefined)
      throw new VarveError('NOT_FOUND', `there is no Varve store at ${root}`);
    if (!status.isDirectory())
      throw new VarveError('INVALID_ARGUMENT', `${root} is a file: a Varve store is a directory`);
    const entries = listEntries(root);
    if (
      !entries.some(({ path: each }) => each === join(root, INDEX_FILE) || each.endsWith('.pack'))
    ) {
      throw new VarveError('NOT_FOUND', `there is no Varve store at ${root}`);
    }
    const { bavail, bsize } = statfsSync(root);
    return {
      location: `file:${root}`,
      directory: realpathSync(root),
      freeBytes: bavail * bsize,
      node: process.versions.node,
      sqlite: sqliteVersion(),
      findings: [
        ...linksIn(entries),
        ...modesOf(root, entries),
        ...ownersOf(root, entries),
        ...mediumOf(root, bavail * bsize),
        ...strangersIn(entries),
        ...locksIn(root, entries),
        ...clockOf(entries),
        ...examineIndex(root, entries),
      ],
    };
  } catch (cause) {
    throw toVarveError(cause, `examining the store at ${root}`);
  }
}

function listEntries(root: string): Entry[] {
  return Object.entries(OF_THE_STORE).flatMap(([folder, known]) => {
    const path = join(root, folder);
    if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory() && folder !== '') return [];
    return readdirSync(path).flatMap((name) => {
      const status = lstatSync(join(path, name), { throwIfNoEntry: false });
      // A collection may have removed it meanwhile.
      if (status === undefined) return [];
      const isFolder = folder === '' && ['packs', 'locks', 'lost+found'].includes(name);
      return [{ path: join(path, name), status, isKnown: known.test(name), isFolder }];
    });
  });
}

/** Makes one finding for all entries with the same fault. */
function about(
  kind: DoctorFinding['kind'],
  entries: readonly Entry[],
  finding: { readonly fault: string; readonly remedy: string; readonly harmful: boolean },
): DoctorFinding[] {
  const [first] = entries;
  if (first === undefined) return [];
  const others = entries.length - 1;
  const more =
    others === 0 ? '' : `, and so ${others === 1 ? 'is 1 other' : `are ${others} others`}`;
  const { fault, remedy, harmful } = finding;
  return [
    {
      kind,
      message: `${first.path} ${fault}${more}`,
      paths: entries.map(({ path }) => path),
      remedy,
      harmful,
    },
  ];
}

function linksIn(entries: readonly Entry[]): DoctorFinding[] {
  const known = entries.filter(({ isKnown }) => isKnown);
  const isPlain = ({ status, isFolder }: Entry) =>
    isFolder ? status.isDirectory() : status.isFile();
  const isLinked = ({ status, isFolder }: Entry) =>
    !isFolder && status.isFile() && status.nlink > 1;
  return [
    ...about(
      'link',
      known.filter((entry) => !isPlain(entry)),
      {
        fault: 'is a symbolic link, or not what its name says',
        remedy:
          'put the file or directory itself there; only the path of the whole store may be a link',
        harmful: true,
      },
    ),
    ...about('link', known.filter(isLinked), {
      fault: 'has another name (a hard link)',
      remedy:
        'replace it by a copy of its own; an index with two names is not written to, nor is ' +
        'such a pack',
      harmful: true,
    }),
  ];
}

function modesOf(root: string, entries: readonly Entry[]): DoctorFinding[] {
  if (process.platform === 'win32') return [];
  const itself: Entry = { path: root, status: statSync(root), isKnown: true, isFolder: true };
  const all = [
    itself,
    ...entries.filter(({ isKnown, status }) => isKnown && !status.isSymbolicLink()),
  ];
  const group = indexMode(root, entries) & 0o060;
  const tooFew = all.filter(({ status }) => (status.mode & group) !== group && group === 0o060);
  const unusable = all.filter(({ path, status }) => !mayUse(path, status));
  return [
    ...about(
      'mode',
      all.filter(({ status }) => (status.mode & 0o007) !== 0),
      {
        fault: 'can be used by everybody on this machine',
        remedy: `chmod -R o= ${root}`,
        harmful: false,
      },
    ),
    ...about('mode', tooFew, {
      fault: 'is not open to the group that shares the store',
      remedy: `chmod -R g+rwX ${root}`,
      harmful: true,
    }),
    ...about('mode', unusable, {
      fault: 'cannot be read and written by this user',
      remedy: 'run as the owner of the store, or change owners and modes',
      harmful: true,
    }),
  ];
}

function indexMode(root: string, entries: readonly Entry[]): number {
  const index = entries.find(({ path }) => path === join(root, INDEX_FILE))?.status;
  return index?.isFile() ? index.mode : 0;
}

function mayUse(path: string, status: Stats): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | (status.isDirectory() ? constants.X_OK : 0));
    return true;
  } catch (error) {
    // The modes are not the reason when the medium cannot be written.
    return (error as NodeJS.ErrnoException).code !== 'EACCES';
  }
}

/** In a store shared with a group, processes of several users create files of several owners. */
function ownersOf(root: string, entries: readonly Entry[]): DoctorFinding[] {
  const owner = statSync(root).uid;
  if (process.platform === 'win32' || (indexMode(root, entries) & 0o020) !== 0) return [];
  return about(
    'owner',
    entries.filter(({ isKnown, status }) => isKnown && status.uid !== owner),
    {
      fault: 'belongs to another user than the directory does',
      remedy:
        `chown -R ${owner} ${root}, and run Varve as one user; or share the store with a ` +
        'group',
      harmful: true,
    },
  );
}

function mediumOf(root: string, freeBytes: number): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  const add = (kind: DoctorFinding['kind'], message: string, remedy: string) =>
    findings.push({ kind, message, paths: [root], remedy, harmful: true });
  const network = networkFileSystem(root);
  if (network !== undefined) {
    add(
      'network',
      `${root} is on a network file system (${network}), whose locks may not hold`,
      'use a local disk',
    );
  }
  try {
    accessSync(root, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EROFS') {
      add(
        'read-only',
        `${root} is on a medium that cannot be written`,
        'open it read-only, or mount it for writing',
      );
    }
  }
  if (freeBytes < LITTLE_SPACE) {
    add(
      'space',
      `${Math.floor(freeBytes / 1024)} KiB are free at ${root}`,
      'free some: a pack takes up to 64 MiB',
    );
  }
  return findings;
}

function strangersIn(entries: readonly Entry[]): DoctorFinding[] {
  return about(
    'foreign',
    entries.filter(({ isKnown }) => !isKnown),
    {
      fault: 'does not belong to the store',
      remedy: 'move it elsewhere',
      harmful: false,
    },
  );
}

function locksIn(root: string, entries: readonly Entry[]): DoctorFinding[] {
  const dead = entries.filter(({ path, status, isKnown }) => {
    const [, name] = /([^/\\]+)\.lock$/.exec(path) ?? [];
    return isKnown && name !== undefined && status.isFile() && !isWriterAlive(root, name);
  });
  return about('lock', dead, {
    fault: 'is of a process that ended without closing the store',
    remedy: 'none is needed: the next collection removes it',
    harmful: false,
  });
}

function clockOf(entries: readonly Entry[]): DoctorFinding[] {
  const ahead = Date.now() + CLOCK_TOLERANCE_MS;
  const known = entries.filter(({ isKnown }) => isKnown);
  return [
    ...about(
      'clock',
      known.filter(({ status }) => status.mtimeMs > ahead),
      {
        fault: 'was written in the future, by the clock of this machine',
        remedy: 'set the clock: graces, leases and expiries are counted by it',
        harmful: true,
      },
    ),
    ...about(
      'log',
      known.filter(({ path, status }) => path.endsWith('-wal') && status.size > LARGE_LOG),
      {
        fault: 'is large',
        remedy: 'end what has been reading for long, then run a collection: it folds the log in',
        harmful: false,
      },
    ),
  ];
}

function sqliteVersion(): string {
  const connection = new (sqliteDriver())(':memory:');
  try {
    return (connection.prepare('SELECT sqlite_version() AS version').get() as { version: string })
      .version;
  } finally {
    connection.close();
  }
}
