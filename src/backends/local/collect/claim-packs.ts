import type { CollectSettings } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import type { CollectScope } from './collect-scope.ts';
import { duePacks, type PackSurvey, surveyPacks } from './pack-survey.ts';
import { claimStainedPacks } from './stained-packs.ts';

/**
 * The packs to rewrite, sealed: nobody appends to them any more. An erasure takes every pack with a
 * dead byte in it.
 */
export async function claimDuePacks(
  context: MaintenanceContext,
  { erase, full, signal }: CollectSettings,
  scope: CollectScope,
): Promise<PackSurvey[]> {
  const { index, owner } = context;
  if (erase) {
    const stained = new Set(await claimStainedPacks(context, signal));
    return surveyPacks(context).filter(({ id }) => stained.has(id));
  }
  const due = duePacks(context, surveyPacks(context), full, scope);
  const numbers = due.map(({ id }) => id);
  if (owner.current !== undefined && numbers.includes(owner.current)) await owner.seal(signal);
  if (due.length > 0) await index.database.write(() => owner.sealAbandoned(numbers), signal);
  return due;
}
