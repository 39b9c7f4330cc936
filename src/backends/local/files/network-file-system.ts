import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Magic numbers of statfs(2) of file systems whose locks are not safe for SQLite (linux/magic.h).
 */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB2'],
  [0xff534d42, 'CIFS'],
  [0x5346414f, 'AFS'],
  [0x73757245, 'Coda'],
  [0x01021997, '9p'],
  [0x00c36400, 'CephFS'],
  [0x013111a8, 'IBRIX'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
]);

/**
 * The name of the network file system that contains `path`, or where it would be created;
 * `undefined` for a local or unknown one.
 */
export function networkFileSystem(path: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (!existsSync(path) && path !== dirname(path)) return networkFileSystem(dirname(path));
  return NETWORK.get(statfsSync(path).type >>> 0);
}
