import { hash } from 'node:crypto';
import { isVarveError } from '../../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { PROBE_PROTOCOL } from '../../storage/probe.ts';
import type { ProbedService } from '../format/descriptor.ts';
import { replaceDescriptor, type SeenDescriptor } from './descriptor.ts';

/**
 * A store remembers which services it was probed on, so that not every process has to probe. A
 * service is named by a hash of who answers (endpoint, bucket, prefix, `Server`) and of what is
 * tried. So where a copy of the store lies elsewhere, where the service became another, or where a
 * later version tries more, nothing is remembered.
 */

/** How long a probe is relied on, by the service's clock, in ms. */
const RELIED_ON_MS = 7 * 24 * 60 * 60 * 1000;

/** The clocks of a service's machines may differ by this much, in ms. */
const CLOCK_SLACK_MS = 10 * 60 * 1000;

/** One store may be reached by several endpoints. */
const MOST_SERVICES = 8;

/** A probe that found no fault. */
export interface SoundProbe {
  readonly servedBy: string;
  readonly serverTime: number;
}

/** What a descriptor has of a probe. */
export function probedService({ servedBy, serverTime }: SoundProbe): ProbedService {
  const service = hash('sha256', JSON.stringify([PROBE_PROTOCOL, servedBy]), 'hex').slice(0, 32);
  return { service, at: serverTime };
}

/** Whether the service that gave the descriptor was probed lately. */
export function wasProbed({ descriptor, object }: SeenDescriptor): boolean {
  const { servedBy, serverTime } = object;
  if (descriptor.format === 1 || servedBy === undefined) return false;
  const now = probedService({ servedBy, serverTime });
  return descriptor.probed.some(
    ({ service, at }) =>
      service === now.service && now.at - at < RELIED_ON_MS && at - now.at < CLOCK_SLACK_MS,
  );
}

/** Adds a probe to the descriptor. It is lost where another process changes that just now. */
export async function rememberProbe(
  store: ObjectStore,
  seen: SeenDescriptor,
  probe: SoundProbe,
): Promise<SeenDescriptor> {
  const { descriptor } = seen;
  if (descriptor.format === 1) return seen;
  const own = probedService(probe);
  const others = descriptor.probed.filter(({ service }) => service !== own.service);
  const probed = [...others, own].sort((a, b) => b.at - a.at).slice(0, MOST_SERVICES);
  try {
    return (await replaceDescriptor(store, seen, { ...descriptor, probed })) ?? seen;
  } catch (error) {
    // Whoever may not write it probes each time.
    if (!isVarveError(error) || error.code === 'ABORTED') throw error;
    return seen;
  }
}
