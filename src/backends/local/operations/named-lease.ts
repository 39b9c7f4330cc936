import { randomUUID } from 'node:crypto';
import type { AbortOptions } from '../../../core/abort.ts';
import type { Lease } from '../../contract/maintenance.ts';
import { checkLease } from '../../contract/write-validation.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { LEASE_TABLE } from '../format/schema.ts';

/**
 * Takes a lease, a row of the index, unless somebody has it. All processes of a store share one
 * machine and its clock.
 */
export async function acquireLease(
  database: IndexDatabase,
  clock: () => number,
  name: string,
  ttlMs: number,
  { signal }: AbortOptions,
): Promise<Lease | undefined> {
  checkLease(name, ttlMs);
  const holder = randomUUID();
  const isTaken = await database.write(() => {
    database.execute(LEASE_TABLE);
    const now = clock();
    const until = database.value<number>('SELECT until FROM lease WHERE name = ?', name);
    if (until !== undefined && until > now) return false;
    database.run(
      'INSERT OR REPLACE INTO lease VALUES (?, ?, ?)',
      name,
      holder,
      Math.floor(now + ttlMs),
    );
    return true;
  }, signal);
  if (!isTaken) return undefined;
  const extend = (duration: number, options: AbortOptions): Promise<boolean> =>
    database.write(() => {
      const until = Math.floor(clock() + duration);
      return (
        database.run(
          'UPDATE lease SET until = ? WHERE name = ? AND holder = ?',
          until,
          name,
          holder,
        ).changes > 0
      );
    }, options.signal);
  return {
    renew: (duration, options = {}) => extend(duration, options),
    release: async () => {
      await extend(0, {});
    },
  };
}
