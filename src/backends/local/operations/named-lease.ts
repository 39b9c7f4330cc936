import { randomUUID } from 'node:crypto';
import type { AbortOptions } from '../../../core/abort.ts';
import type { Lease } from '../../contract/reports.ts';
import { checkLease } from '../../contract/write-validation.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { LEASE_TABLE } from '../format/schema.ts';
import type { LocalLifecycle } from './local-lifecycle.ts';

/**
 * Takes a lease, a row of the index, unless somebody holds it. All processes of a store share one
 * machine and its clock.
 */
export async function acquireLease(
  database: IndexDatabase,
  lifecycle: LocalLifecycle,
  clock: () => number,
  name: string,
  ttlMs: number,
  options: AbortOptions,
): Promise<Lease | undefined> {
  lifecycle.assertWritable();
  const signal = lifecycle.begin(options);
  const holder = randomUUID();
  const take = () => {
    checkLease(name, ttlMs);
    return database.write(() => {
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
  };
  if (!(await lifecycle.doing('taking a lease on', take))) return undefined;
  const extend = (doing: string, duration: number, { signal }: AbortOptions): Promise<boolean> => {
    lifecycle.assertOpen();
    return lifecycle.doing(doing, () =>
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
      }, signal),
    );
  };
  return {
    renew: async (duration, options = {}) => extend('renewing a lease on', duration, options),
    release: async () => {
      await extend('releasing a lease on', 0, {});
    },
  };
}
