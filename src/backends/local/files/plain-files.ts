import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import { INDEX_FILE } from './store-folder.ts';

/**
 * Files and folders below that of a store. None of them is ever a link, so that nobody who may
 * write there can make Varve read or change something elsewhere. The path of the store itself may
 * be one.
 */

/** Windows has neither flag, and no modes. */
const NOT_THROUGH_LINKS = constants.O_NOFOLLOW ?? 0;
/** A pipe in the place of a file would make opening it wait for ever. */
const WITHOUT_WAITING = constants.O_NONBLOCK ?? 0;

/** Who may use a store besides its owner. */
export type SharedWith = 'owner' | 'group';

/** What files and folders are created with, whatever the umask. */
export interface Modes {
  readonly file: number;
  readonly folder: number;
}

/** New folders of a group give their group to what is made in them (set-group-ID). */
const MODES: Readonly<Record<SharedWith, Modes>> = {
  owner: { file: 0o600, folder: 0o700 },
  group: { file: 0o660, folder: 0o2770 },
};

const GROUP_READS = 0o040;
const GROUP_WRITES = 0o020;

/**
 * What is made in a store that exists: its index says what the group may do; others may do nothing.
 */
function modesLike(index: number): Modes {
  if ((index & GROUP_WRITES) !== 0) return MODES.group;
  return (index & GROUP_READS) === 0 ? MODES.owner : { file: 0o640, folder: 0o750 };
}

/**
 * The modes for what is made in a store.
 *
 * @param wanted by the caller; by default as the index has it, `owner` where there is none yet.
 * @throws `INVALID_ARGUMENT` when the index has another mode than the caller wants.
 */
export function modesOf(root: string, wanted: SharedWith | undefined): Modes {
  const path = join(root, INDEX_FILE);
  const index = lstatSync(path, { throwIfNoEntry: false });
  if (index === undefined || process.platform === 'win32') return MODES[wanted ?? 'owner'];
  const modes = modesLike(index.mode);
  if (wanted === undefined || modes === MODES[wanted]) return modes;
  const octal = (index.mode & 0o777).toString(8).padStart(3, '0');
  throw new VarveError(
    'INVALID_ARGUMENT',
    `the store at ${root} is not shared with its ${wanted} (${INDEX_FILE} has mode ${octal}): ` +
      'leave sharedWith out, or change the modes of what is there first; they are never ' +
      'changed here',
  );
}

/** Makes a file that must not exist, and opens it for reading and writing. */
export function createFile(path: string, modes: Modes): number {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | NOT_THROUGH_LINKS, modes.file);
  try {
    if (process.platform !== 'win32') fchmodSync(fd, modes.file);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Makes a folder and those above it, durably. (`mkdir` with `recursive` never returns below /proc.)
 */
export function makeFolder(path: string, modes: Modes): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path), modes);
  try {
    mkdirSync(path, modes.folder);
    if (process.platform !== 'win32') chmodSync(path, modes.folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // A folder is an entry of the one above it.
  syncFolder(dirname(path));
}

/** Makes the creation of files in a folder durable. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens a file that exists.
 *
 * @throws `CORRUPT` when it is a link, or no file; `ENOENT` as the file system does.
 */
export function openFile(
  path: string,
  access: 'read' | 'write',
): { fd: number; status: BigIntStats } {
  const flags =
    (access === 'read' ? constants.O_RDONLY : constants.O_RDWR) |
    NOT_THROUGH_LINKS |
    WITHOUT_WAITING;
  let fd: number | undefined;
  try {
    fd = openSync(path, flags);
    const status = fstatSync(fd, { bigint: true });
    if (status.isFile()) return { fd, status };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? true) throw error;
    throw notPlain(path);
  }
  closeSync(fd);
  throw notPlain(path);
}

/** Bytes of a file; 0 where there is none, or a link. */
export function lengthOfFile(path: string): number {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isFile() ? status.size : 0;
}

/**
 * @throws `INVALID_ARGUMENT` when something that SQLite or Node would open by its path is a link,
 * or neither file nor folder.
 */
export function assertPlain(root: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    const path = join(root, INDEX_FILE + suffix);
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) throw unfit(path, 'file');
  }
  for (const name of ['packs', 'locks']) {
    const path = join(root, name);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
      throw unfit(path, 'directory');
  }
}

/**
 * SQLite keeps its log beside the name that it opened: under two names, one index has two logs.
 *
 * @throws `INVALID_ARGUMENT` when the index has another name.
 */
export function assertOneName(root: string): void {
  const path = join(root, INDEX_FILE);
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined || status.nlink < 2) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${path} has another name (a hard link), so two stores would write to one index: ` +
      'replace it by a copy of its own (cp varve.db varve.db.copy && mv varve.db.copy ' +
      'varve.db), or open it read-only',
  );
}

function unfit(path: string, kind: 'file' | 'directory'): VarveError {
  return new VarveError(
    'INVALID_ARGUMENT',
    `${path} is a symbolic link, or no ${kind}: nothing inside a store may lead elsewhere. ` +
      `Move the ${kind} itself there; to keep a store on another disk, make the path of the ` +
      'whole store a link',
  );
}

function notPlain(path: string): VarveError {
  return new VarveError(
    'CORRUPT',
    `${path} is a symbolic link, or no file: nothing inside a store may lead elsewhere; put ` +
      'the file itself there',
  );
}
