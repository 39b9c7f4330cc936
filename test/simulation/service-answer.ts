import type { PutResult } from '../../src/backends/storage/object-store.ts';
import type { FaultDetails } from '../../src/backends/storage/service-fault.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { Verb } from './simulated-store.ts';

/** What says that the answer was lost. */
export const LOST: FaultDetails = { name: 'ECONNRESET' };

/**
 * What something in between answers that has no more to say; whether it passed the request on
 * nobody knows.
 */
export const BARE_503: FaultDetails = { name: 'ServiceUnavailable', status: 503 };

/** What a service answers that has looked at nothing yet. */
export const SLOW_DOWN: FaultDetails = { name: 'SlowDown', status: 503 };

/** What a process hears of a request that ended so, by the rule of the code that is tried. */
export function hear<Result>(
  { VarveError, wasTurnedAway }: ProtocolBuild,
  verb: Verb,
  fault: FaultDetails,
  resolve: (result: Result) => void,
  reject: (error: Error) => void,
): void {
  if (wasTurnedAway(fault)) {
    reject(new VarveError('THROTTLED', `simulated: ${fault.name}`));
    return;
  }
  const error = new VarveError('UNAVAILABLE', `simulated: ${fault.name}`);
  if (verb === 'PUT') resolve({ outcome: 'unknown', error } satisfies PutResult as Result);
  else reject(error);
}
