import type { PutResult } from '../../../src/backends/storage/object-store.ts';
import type { FaultDetails } from '../../../src/backends/storage/service-fault.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { Verb } from './simulated-store.ts';

/** The fault of a lost answer. */
export const LOST: FaultDetails = { name: 'ECONNRESET' };

/** A 503 that a proxy may have sent: it may have passed the request on, or not. */
export const BARE_503: FaultDetails = { name: 'ServiceUnavailable', status: 503 };

/** A service turns the request away before it looks at it. */
export const SLOW_DOWN: FaultDetails = { name: 'SlowDown', status: 503 };

/** Answers a request with a fault, as the code under test classifies faults. */
export function answerWithFault<Result>(
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
