import { VarveError } from '../errors.ts';
import type { AuditOptions, CollectOptions } from './maintenance.ts';

/** @throws `INVALID_ARGUMENT`, saying which option cannot be and what is allowed. */
export function checkCollectOptions({
  graceMs = 0,
  deadlineMs = 0,
  concurrency = 1,
  shard,
  erase,
}: CollectOptions): void {
  if (!(graceMs >= 0)) throw invalid(`graceMs is a number of milliseconds of at least 0, not ${graceMs}`);
  if (!(deadlineMs >= 0)) throw invalid(`deadlineMs is a number of milliseconds of at least 0, not ${deadlineMs}`);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw invalid(`concurrency is a whole number of at least 1, not ${concurrency}`);
  }
  if (shard === undefined) return;
  if (erase === true) throw invalid('an erasure concerns the whole store: leave out shard');
  const { index, count } = shard;
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(index) || index < 0 || index >= count) {
    throw invalid(`shard ${index} of ${count} does not exist: shards are numbered from 0 to one less than their count`);
  }
}

/** @throws `INVALID_ARGUMENT`. */
export function checkAuditOptions({ sample = 1 }: AuditOptions): void {
  if (!(sample >= 0 && sample <= 1)) throw invalid(`sample is a share from 0 to 1, not ${sample}`);
}

function invalid(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', message);
}
