import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { because, isUnreadable, isVarveError, VarveError } from '../../../core/errors.ts';
import type { NewSegment } from '../../contract/manifests.ts';
import type { DroppedReference, RecordChange } from '../format/manifest-record.ts';
import type { AttemptId } from '../format/sidecar.ts';
import { SegmentFault, type SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { dropReferences, type ManifestDrops } from './drop-references.ts';
import { keepLeases } from './heartbeat.ts';
import type { ManifestJob, Plan } from './manifest-job.ts';

/** A segment that a job's manifest is to reference. */
export interface Wanting {
  readonly job: ManifestJob;
  readonly segment: NewSegment;
}

/**
 * The steps that every attempt to write manifests is made of, in the order that makes them safe.
 */
export class AttemptSteps {
  readonly #protocol: Protocol;
  readonly #taker: SegmentTaker;
  readonly #hints: Hints;
  /** Canonical bytes of each segment that was stored new. */
  readonly stored = new Map<Address, number>();
  readonly #dropping: ManifestDrops[] = [];

  constructor(protocol: Protocol, taker: SegmentTaker, hints: Hints) {
    this.#protocol = protocol;
    this.#taker = taker;
    this.#hints = hints;
  }

  /**
   * Step 1: names in `pending` what will be taken. Returns whether the object was as seen.
   *
   * @throws `UNAVAILABLE` when that is not to be found out: an announcement that happens late does
   *   nothing but wait to be fenced.
   */
  async announce(job: ManifestJob, adds: Iterable<Address>): Promise<boolean> {
    const { randomness, settings, call } = this.#protocol;
    await this.#hints.announceWriter();
    try {
      return await this.swap(job, job.announcing(adds, randomness.nonce(), settings.leaseMs));
    } catch (error) {
      if (!isVarveError(error, 'OUTCOME_UNKNOWN')) throw error;
      this.#hints.keepWriter();
      throwIfAborted(call.signal);
      const { cause } = error;
      throw new VarveError('UNAVAILABLE', `nothing was written: try again later${because(cause)}`, {
        cause,
      });
    }
  }

  /**
   * Steps 2 and 3: takes references to what was announced and stores what is missing; a segment
   * that several manifests want is asked for once. Leases are kept meanwhile. What is wrong with a
   * writer's bytes is told to `onFault`.
   */
  async take(
    wanted: readonly Wanting[],
    onFault: (wanting: Wanting, error: VarveError) => void,
  ): Promise<void> {
    const taking = mapAll(groupBySegment(wanted), async (group) => {
      for (let rest = group; rest.length > 0; rest = rest.slice(1)) {
        const [first] = rest as [Wanting];
        const { segment } = first;
        try {
          const taken = await this.#taker.take({
            segment,
            tokens: rest.map(({ job }) => job.token),
          });
          for (const { job } of rest) job.taken.set(segment.address, taken);
          if (taken.isNew) this.stored.set(segment.address, taken.length);
          return;
        } catch (error) {
          if (isUnreadable(error)) {
            // A damaged sidecar concerns those who want its segment.
            for (const each of rest) onFault(each, withAdvice(error));
            return;
          }
          if (!(error instanceof SegmentFault)) throw error;
          // The fault of this writer's bytes; the next one's may be right.
          onFault(first, error.failure);
        }
      }
    });
    const jobs = [...new Set(wanted.map(({ job }) => job))];
    await keepLeases(this.#protocol, jobs, taking);
  }

  /**
   * Looks at the data that a plan takes for stored. Returns whether some of it is lost: then the
   * plan is another.
   */
  async findLost(job: ManifestJob, { reused }: Plan): Promise<boolean> {
    const isStored = await mapAll(reused, ([address, gen]) => this.#taker.isStored(address, gen));
    const lost = [...reused].filter((_, at) => !isStored[at]);
    for (const [address, gen] of lost) job.lost.set(address, gen);
    return lost.length > 0;
  }

  /**
   * Step 4, the commit point. What it drops leaves the sidecars in {@link dropReferences}.
   */
  async commit(
    job: ManifestJob,
    { change, dropped }: { change: RecordChange; dropped: readonly DroppedReference[] },
  ): Promise<boolean> {
    if (!(await this.swap(job, change))) return false;
    if (dropped.length > 0) this.#dropping.push({ key: job.key, seen: job.seen, dropped });
    return true;
  }

  /**
   * Step 5, after the fact: what fails here is found by its hint and by audits, so it fails no
   * write.
   */
  async dropReferences(): Promise<void> {
    try {
      await dropReferences(this.#protocol, this.#taker, this.#dropping.splice(0));
    } catch (error) {
      if (!isVarveError(error)) throw error;
    }
  }

  /** Replaces the object that the job saw; otherwise has the job see what is there now. */
  async swap(job: ManifestJob, change: RecordChange): Promise<boolean> {
    const { isStored, seen } = await this.#protocol.manifests.swap(job.key, job.seen, change);
    job.sees(seen);
    if (!isStored) this.checkFence(job);
    return isStored;
  }

  /**
   * Has a job whose attempt was fenced begin another. Who fenced it drops what was taken until
   * then; what was taken since is dropped here.
   */
  checkFence(job: ManifestJob): void {
    if (!job.isFenced) return;
    const { attempt } = job;
    const dropped = [...job.taken.keys()].map(
      (address): DroppedReference => ({ address, attempt }),
    );
    if (dropped.length > 0) this.#dropping.push({ key: job.key, seen: job.seen, dropped });
    job.restart(this.#protocol.randomness.nonce() as AttemptId);
  }

  /**
   * Takes attempts back that will not commit, because of `failure` where that is what ended them.
   * Those that the end of the call or an outage ended are left to their leases, and so is what
   * cannot be taken back: a collection fences it.
   */
  async abandon(jobs: readonly ManifestJob[], failure?: VarveError): Promise<void> {
    if (failure !== undefined && (failure.code === 'ABORTED' || isOutage(failure))) {
      if (jobs.some(({ pending }) => pending !== undefined)) this.#hints.keepWriter();
      return;
    }
    try {
      await mapAll(
        jobs.filter((job) => job.pending !== undefined),
        (job) => this.#takeBack(job),
      );
    } catch (error) {
      if (!isVarveError(error)) throw error;
      this.#hints.keepWriter();
    }
    await this.dropReferences();
  }

  async #takeBack(job: ManifestJob): Promise<void> {
    for (let own = job.pending; own !== undefined; own = job.pending) {
      const { attempt } = job;
      const given = own.adds.map((address): DroppedReference => ({ address, attempt }));
      const { current, pending, dropped } = job.seen.record as NonNullable<typeof job.seen.record>;
      const others = pending.filter((each) => each.attempt !== attempt);
      await this.#hints.announceGarbage([{ objectKey: job.objectKey, dropped: given }]);
      const isStored = await this.swap(job, {
        current,
        pending: others,
        dropped: [...dropped, ...given],
      });
      if (isStored) this.#dropping.push({ key: job.key, seen: job.seen, dropped: given });
    }
  }
}

/** Whether asking for more would be in vain. */
function isOutage(error: VarveError): boolean {
  return error.code === 'UNAVAILABLE' || error.code === 'THROTTLED';
}

function withAdvice(error: VarveError): VarveError {
  if (!isVarveError(error, 'CORRUPT')) return error;
  return new VarveError('CORRUPT', `${error.message}; audit with repair, then write again`, {
    cause: error,
  });
}

/** By segment, all that want it, in their order. */
function groupBySegment(wanted: readonly Wanting[]): Wanting[][] {
  const groups = new Map<Address, Wanting[]>();
  for (const wanting of wanted) {
    const group = groups.get(wanting.segment.address);
    if (group === undefined) groups.set(wanting.segment.address, [wanting]);
    else group.push(wanting);
  }
  return [...groups.values()];
}
