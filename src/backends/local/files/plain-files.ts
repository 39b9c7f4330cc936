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
 * Files and folders inside a store. None of them may be a link, so that nobody with write access
 * there can make Varve read or change something elsewhere. The path of the store itself may be a
 * link.
 */

/** Windows has neither flag, and no modes. */
const NOT_THROUGH_LINKS = constants.O_NOFOLLOW ?? 0;
/** Opening a pipe in the place of a file would block for ever. */
const WITHOUT_WAITING = constants.O_NONBLOCK ?? 0;

/** Who may use a store besides its owner. */
export type SharedWith = 'owner' | 'group';

/** Modes for new files and folders, whatever the umask. */
export interface Modes {
  readonly file: number;
  readonly folder: number;
}

/** New folders of a group pass their group on to their content (set-group-ID). */
const MODES: Readonly<Record<SharedWith, Modes>> = {
  owner: { file: 0o600, folder: 0o700 },
  group: { file: 0o660, folder: 0o2770 },
};

const GROUP_READS = 0o040;
const GROUP_WRITES = 0o020;

/** Modes for an existing store: those of its index for the group, none for others. */
function modesLike(index: number): Modes {
  if ((index & GROUP_WRITES) !== 0) return MODES.group;
  return (index & GROUP_READS) === 0 ? MODES.owner : { file: 0o640, folder: 0o750 };
}

/**
 * The modes for new files and folders of a store.
 *
 * @param wanted by the caller; by default those of the index, `owner` for a new store.
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
      'leave sharedWith out, or change the modes of the existing files first; Varve never ' +
      'changes them',
  );
}

/** Creates a file that must not exist, and opens it for reading and writing. */
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
 * Creates a folder and its missing parents, durably. (`mkdir` with `recursive` never returns below
 * /proc.)
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
  // A new folder is an entry of its parent.
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
 * Opens an existing file.
 *
 * @throws `CORRUPT` when it is a link or not a file; the file system's `ENOENT`.
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

/** Length of a file; 0 for a missing one, or a link. */
export function lengthOfFile(path: string): number {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isFile() ? status.size : 0;
}

/**
 * @throws `INVALID_ARGUMENT` when something that SQLite or Node would open by its path is a link,
 *   or neither file nor folder.
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
 * SQLite keeps its log beside the name it opened: an index with two names would have two logs.
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
    `${path} is a symbolic link, or not a ${kind}: nothing inside a store may lead elsewhere. ` +
      `Move the ${kind} itself there; to keep a store on another disk, make the path of the ` +
      'whole store a link',
  );
}

function notPlain(path: string): VarveError {
  return new VarveError(
    'CORRUPT',
    `${path} is a symbolic link, or not a file: nothing inside a store may lead elsewhere; put ` +
      'the file itself there',
  );
}
