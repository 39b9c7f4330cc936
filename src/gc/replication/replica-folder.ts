import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { toVarveError } from '../../core/system/system-error.ts';

/** Names the store of which the folder is a backup. */
const MARK_FILE = 'backup-of.json';

/** The store beside it. */
const STORE_FOLDER = 'store';

interface Mark {
  readonly v: 1;
  readonly location: string;
  readonly identity?: string | undefined;
}

/**
 * Prepares a folder for the backup of a store that is in no directory: a mark that says of which,
 * and beside it a store. The mark is written first, so that an interrupted backup can be continued.
 *
 * @returns where the store goes.
 * @throws `INVALID_ARGUMENT` when the folder holds anything but a backup of that store.
 */
export async function prepareReplica(
  folder: string,
  location: string,
  identity?: string,
): Promise<string> {
  try {
    return await prepare(folder, location, identity);
  } catch (cause) {
    throw toVarveError(cause, `preparing ${folder} for a backup`);
  }
}

async function prepare(
  folder: string,
  location: string,
  identity: string | undefined,
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const marked = await readMark(folder);
  if (marked === undefined) {
    const [other] = (await readdir(folder)).filter((name) => name !== 'lost+found');
    if (other !== undefined) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${folder} holds ${JSON.stringify(other)}, not a backup of ${location}: name a new ` +
          'or empty folder',
      );
    }
    await writeFile(
      join(folder, MARK_FILE),
      `${JSON.stringify({ v: 1, location, identity } satisfies Mark)}\n`,
      {
        flush: true,
        mode: 0o600,
      },
    );
  } else if (marked.location !== location) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${folder} holds a backup of ${marked.location}, not of ${location}: name a new folder`,
    );
  } else if (marked.identity !== identity) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${folder} holds a backup of another store that was at ${location} before (of ` +
        `${marked.identity}, this one is of ${identity}): name a new folder`,
    );
  }
  return join(folder, STORE_FOLDER);
}

/**
 * The store in the backup of a store on objects; `undefined` when the folder is not such a backup.
 */
export async function replicaIn(folder: string): Promise<string | undefined> {
  return (await readMark(folder)) === undefined ? undefined : join(folder, STORE_FOLDER);
}

async function readMark(folder: string): Promise<Mark | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, MARK_FILE), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw toVarveError(error, `reading ${join(folder, MARK_FILE)}`);
  }
  // Backups of directories need no zod.
  const { z } = await import('zod');
  const schema = z.object({
    v: z.literal(1),
    location: z.string(),
    identity: z.string().optional(),
  });
  try {
    return schema.parse(parseJson(text));
  } catch (cause) {
    throw new VarveError(
      'CORRUPT',
      `${join(folder, MARK_FILE)} is damaged: back up to a new folder`,
      { cause },
    );
  }
}
