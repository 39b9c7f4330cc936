import { isVarveError, VarveError } from '../../core/errors.ts';
import type { Health } from './backend.ts';

/**
 * Times a check, and returns its failure as a result. @throws `CLOSED`, `ABORTED`, which end the
 * call.
 */
export async function healthBy(check: () => Promise<void>): Promise<Health> {
  const began = performance.now();
  const latencyMs = () => performance.now() - began;
  try {
    await check();
    return { healthy: true, latencyMs: latencyMs() };
  } catch (error) {
    if (isVarveError(error, 'CLOSED') || isVarveError(error, 'ABORTED')) throw error;
    const known = isVarveError(error)
      ? error
      : new VarveError('INTERNAL', 'the check failed unexpectedly', { cause: error });
    return { healthy: false, latencyMs: latencyMs(), error: known };
  }
}
