import type { CollectOptions, CollectReport } from '../../../src/backends/contract/collection.ts';
import type {
  Locator,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  Revision,
} from '../../../src/backends/contract/manifests.ts';
import { manifestObjectKey } from '../../../src/backends/object/format/keys.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import type { AbortOptions } from '../../../src/core/abort.ts';
import type { State } from '../checks/commit-history.ts';
import { checkFailure, checkOutcome, codeOf, OUTAGES, type Span } from '../checks/outcome-check.ts';
import { SEGMENTS, type TrackedWrite } from '../checks/tracked-writes.ts';
import { check, Violation } from '../checks/violation.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Simulation } from './simulation.ts';

/** Returns the signal of one call, if it has one: it may fire before the call ends. */
export type SignalSource = () => AbortSignal | undefined;

/** Calls the backend in one process, and checks every answer. */
export class Client {
  readonly process: SimulatedProcess;
  readonly #simulation: Simulation;
  readonly #backend: ObjectBackend;
  readonly #signalOfCall: SignalSource;

  constructor(
    simulation: Simulation,
    process: SimulatedProcess,
    backend: ObjectBackend,
    signalOfCall: SignalSource = () => undefined,
  ) {
    this.process = process;
    this.#simulation = simulation;
    this.#backend = backend;
    this.#signalOfCall = signalOfCall;
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  /** Commits the writes together, and checks the outcome of each. */
  async commit(writes: readonly TrackedWrite[]): Promise<void> {
    const from = this.#begin(writes);
    try {
      const outcomes = await this.#backend.commit(
        writes.map(({ write }) => write),
        this.#abort(),
      );
      const span = { from, to: this.#simulation.bucket.version };
      for (const [at, tracked] of writes.entries()) {
        const outcome = outcomes[at];
        check(outcome !== undefined, () => 'a write has no outcome');
        checkOutcome(this.#simulation.history, tracked, outcome, span);
      }
    } catch (error) {
      this.#checkThrown(writes, error, from);
    }
  }

  async publish(tracked: TrackedWrite): Promise<void> {
    const { write } = tracked;
    if (write.operation !== 'put') throw new TypeError('only puts are published');
    const from = this.#begin([tracked]);
    const { entries, fields, ...rest } = write;
    try {
      const outcome = await this.#backend.publish(
        rest,
        (async function* () {
          yield* entries;
        })(),
        () => fields,
        this.#abort(),
      );
      checkOutcome(this.#simulation.history, tracked, outcome, {
        from,
        to: this.#simulation.bucket.version,
      });
    } catch (error) {
      this.#checkThrown([tracked], error, from);
    }
  }

  /**
   * Reads a manifest and its segments, and checks them against what was stored meanwhile. Returns
   * its revision.
   */
  async read(key: ManifestKey): Promise<Revision | undefined> {
    const objectKey = manifestObjectKey(key);
    const from = this.#simulation.bucket.version;
    try {
      const [stored] = await this.#backend.read([key], this.#abort());
      const states = this.#during(objectKey, { from, to: this.#simulation.bucket.version });
      const state = states.find(({ revision }) => revision === stored?.revision);
      check(state !== undefined, () => `${objectKey} was read at a revision that it did not have`);
      if (stored === undefined) return undefined;
      const bodies = stored.entries.map(({ body }) => Buffer.from(body).toString());
      check(
        bodies.length === state.bodies?.length &&
          bodies.every((body, at) => state.bodies?.[at] === body),
        () =>
          `${objectKey} was read as ${bodies.join('; ')} instead of ${state.bodies?.join('; ')}`,
      );
      for (const { segments } of stored.entries) await this.#fetch(objectKey, segments, state);
      return stored.revision;
    } catch (error) {
      const code = codeOf(error);
      check(
        OUTAGES.has(code),
        () => `reading ${objectKey} failed with ${code}: ${(error as Error).message}`,
      );
      return undefined;
    }
  }

  /** Collects without a grace. Returns the report; `undefined` if the service failed. */
  async collect(isFull: boolean, options: CollectOptions = {}): Promise<CollectReport | undefined> {
    const { checker, history } = this.#simulation;
    history.collectors.add(this.process.name);
    let report: CollectReport | undefined;
    const erasure = options.erase ? checker.beginErasure() : undefined;
    await this.#maintain('collecting', async () => {
      report = await this.#backend.collect({
        graceMs: 0,
        full: isFull,
        ...options,
        ...this.#abort(),
      });
    });
    if (report?.isComplete && report.remnants?.length === 0) erasure?.assertDone();
    erasure?.end();
    return report;
  }

  /**
   * Returns what was found; `undefined` if the service failed. `sample`: the share of data to read,
   * from 0 to 1.
   */
  async audit(repair: boolean, sample = 1): Promise<string[] | undefined> {
    const findings: string[] = [];
    const isDone = await this.#maintain('auditing', async () => {
      for await (const { kind, message, harmful, location } of this.#backend.audit({
        repair,
        sample,
        ...this.#abort(),
      })) {
        const { everDamaged } = this.#simulation.checker;
        const isDamage =
          (kind === 'corrupt-data' && everDamaged.has(location ?? '')) ||
          // A page of the manifest.
          (kind === 'corrupt-manifest' && [...everDamaged].some((key) => message.includes(key)));
        check(!harmful || isDamage, () => `an audit found a loss: ${kind}: ${message}`);
        findings.push(`${kind}: ${message}`);
      }
    });
    return isDone ? findings : undefined;
  }

  /**
   * Lists, and checks the list against what was stored meanwhile.
   *
   * @param held only what is held, or is not. Default: both.
   */
  async list(
    kind: ManifestKind = 'conversation',
    held?: boolean,
  ): Promise<readonly ManifestHead[]> {
    const listed = new Map<string, ManifestHead>();
    await this.#maintain('listing', async () => {
      const from = this.#simulation.bucket.version;
      for await (const head of this.#backend.list(kind, { held }, this.#abort())) {
        const objectKey = manifestObjectKey(head.key);
        check(!listed.has(objectKey), () => `${objectKey} was listed twice`);
        listed.set(objectKey, head);
      }
      const span = { from, to: this.#simulation.bucket.version };
      const { records } = this.#simulation.checker;
      for (const objectKey of new Set([...records.keys(), ...listed.keys()])) {
        if (!objectKey.startsWith(`manifests/${kind}/`)) continue;
        const isTrue = this.#during(objectKey, span).some((state) =>
          isListedAs(state, listed.get(objectKey), held),
        );
        check(isTrue, () => `${objectKey} was listed in a state that it did not have meanwhile`);
      }
    });
    return [...listed.values()];
  }

  /**
   * Deletes all of a kind that are listed and not held, each at the revision that was listed.
   */
  async prune(kind: ManifestKind): Promise<void> {
    const heads = await this.list(kind);
    const writes = heads
      .filter(({ hold }) => hold === undefined)
      .map(({ key, revision }) => this.#simulation.writes.delete(key, revision));
    if (writes.length > 0) await this.commit(writes);
  }

  async #fetch(objectKey: string, locators: readonly Locator[], state: State): Promise<void> {
    try {
      const fetched = await this.#backend.fetch(locators);
      for (const [at, bytes] of fetched.entries()) {
        const { address } = { address: String(locators[at]).split('/')[0] };
        const expected = SEGMENTS.find((segment) => segment.address === address);
        check(
          expected?.bytes != null && Buffer.compare(bytes, expected.bytes()) === 0,
          () => `segment ${address} was read as other bytes`,
        );
      }
    } catch (error) {
      const { everDamaged } = this.#simulation.checker;
      const isDamage = locators.some((locator) => everDamaged.has(`segments/${locator}`));
      if (isDamage && codeOf(error) === 'CORRUPT') return;
      if (codeOf(error) !== 'NOT_FOUND') throw error;
      const now = this.#simulation.history.latest(objectKey);
      check(
        now.revision !== state.revision,
        () => `a segment of ${objectKey} was not found, although the manifest has not changed`,
      );
    }
  }

  #abort(): AbortOptions {
    const signal = this.#signalOfCall();
    return signal === undefined ? {} : { signal };
  }

  #begin(writes: readonly TrackedWrite[]): number {
    for (const write of writes) {
      write.calls++;
      write.process = this.process.name;
    }
    return this.#simulation.bucket.version;
  }

  #checkThrown(writes: readonly TrackedWrite[], error: unknown, from: number): void {
    const code = codeOf(error);
    check(
      OUTAGES.has(code) || code === 'OUTCOME_UNKNOWN',
      () => `a commit threw ${code}: ${(error as Error).message}\n${(error as Error).stack}`,
    );
    for (const tracked of writes) {
      const span = { from, to: this.#simulation.bucket.version };
      checkFailure(tracked, error, this.#during(manifestObjectKey(tracked.write.key), span));
    }
  }

  async #maintain(what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (!OUTAGES.has(code) && code !== 'OUTCOME_UNKNOWN') {
        throw new Violation(
          `${what} failed with ${code}: ${(error as Error).message}\n${(error as Error).stack}`,
        );
      }
      return false;
    }
  }

  #during(objectKey: string, { from, to }: Span): State[] {
    return this.#simulation.history.during(objectKey, from, to);
  }
}

function isListedAs(
  { revision, expiresAt, isHeld }: State,
  head: ManifestHead | undefined,
  held: boolean | undefined,
): boolean {
  const isLeftOut = revision === undefined || (held !== undefined && held !== isHeld);
  if (isLeftOut || head === undefined) return isLeftOut && head === undefined;
  return (
    head?.revision === revision &&
    head?.expiresAt === expiresAt &&
    (head?.hold !== undefined) === isHeld
  );
}
