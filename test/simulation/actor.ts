import type { CollectOptions, CollectReport } from '../../src/backends/contract/maintenance.ts';
import type {
  Locator,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  Revision,
} from '../../src/backends/contract/manifests.ts';
import { manifestObjectKey } from '../../src/backends/object/format/keys.ts';
import type { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import type { AbortOptions } from '../../src/core/abort.ts';
import type { State } from './commit-history.ts';
import { SEGMENTS, type TrackedWrite } from './operations.ts';
import { checkFailure, checkOutcome, codeOf, OUTAGES, type Span } from './outcome-check.ts';
import { promise, Violation } from './violation.ts';
import type { World } from './world.ts';

/**
 * Begins the wait for one call: a signal that may fire before the call ends, when its caller
 * leaves.
 */
export type Patience = () => AbortSignal | undefined;

/** A caller of a backend, who checks what it is told. */
export class Actor {
  readonly #world: World;
  readonly #backend: ObjectBackend;
  readonly #name: string;
  readonly #patience: Patience;

  /** @param patience default: the caller stays until it is told. */
  constructor(
    world: World,
    backend: ObjectBackend,
    name: string,
    patience: Patience = () => undefined,
  ) {
    this.#patience = patience;
    this.#world = world;
    this.#backend = backend;
    this.#name = name;
  }

  /** Commits the writes together, and checks each one's outcome. */
  async commit(writes: readonly TrackedWrite[]): Promise<void> {
    const from = this.#begin(writes);
    try {
      const outcomes = await this.#backend.commit(
        writes.map(({ write }) => write),
        this.#abort(),
      );
      const span = { from, to: this.#world.bucket.version };
      for (const [at, tracked] of writes.entries()) {
        const outcome = outcomes[at];
        promise(outcome !== undefined, () => 'a write has no outcome');
        checkOutcome(this.#world.history, tracked, outcome, span);
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
      checkOutcome(this.#world.history, tracked, outcome, { from, to: this.#world.bucket.version });
    } catch (error) {
      this.#checkThrown([tracked], error, from);
    }
  }

  /**
   * Reads a manifest and its segments, and holds them against what was stored meanwhile. Returns
   * its revision.
   */
  async read(key: ManifestKey): Promise<Revision | undefined> {
    const objectKey = manifestObjectKey(key);
    const from = this.#world.bucket.version;
    try {
      const [stored] = await this.#backend.read([key], this.#abort());
      const states = this.#during(objectKey, { from, to: this.#world.bucket.version });
      const state = states.find(({ revision }) => revision === stored?.revision);
      promise(state !== undefined, () => `${objectKey} was read at a revision that it was not at`);
      if (stored === undefined) return undefined;
      const bodies = stored.entries.map(({ body }) => Buffer.from(body).toString());
      promise(
        bodies.length === state.bodies?.length &&
          bodies.every((body, at) => state.bodies?.[at] === body),
        () =>
          `${objectKey} was read as ${bodies.join('; ')} instead of ${state.bodies?.join('; ')}`,
      );
      for (const { segments } of stored.entries) await this.#fetch(objectKey, segments, state);
      return stored.revision;
    } catch (error) {
      const code = codeOf(error);
      promise(
        OUTAGES.has(code),
        () => `reading ${objectKey} failed with ${code}: ${(error as Error).message}`,
      );
      return undefined;
    }
  }

  /** Without a grace. Returns what was done; `undefined` when the service failed. */
  async collect(isFull: boolean, options: CollectOptions = {}): Promise<CollectReport | undefined> {
    const { watch, history } = this.#world;
    history.collectors.add(this.#name);
    let report: CollectReport | undefined;
    const erasure = options.erase ? watch.beginErasure() : undefined;
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
   * Returns what was found; `undefined` when the service failed. `sample`: the share of data that
   * is read, from 0 to 1.
   */
  async audit(repair: boolean, sample = 1): Promise<string[] | undefined> {
    const findings: string[] = [];
    const isDone = await this.#maintain('auditing', async () => {
      for await (const { kind, message, harmful, location } of this.#backend.audit({
        repair,
        sample,
        ...this.#abort(),
      })) {
        const isDamage =
          kind === 'corrupt-data' && this.#world.watch.everDamaged.has(location ?? '');
        promise(!harmful || isDamage, () => `an audit found a loss: ${kind}: ${message}`);
        findings.push(`${kind}: ${message}`);
      }
    });
    return isDone ? findings : undefined;
  }

  /** Lists, and holds it against what was there meanwhile. */
  async list(kind: ManifestKind = 'conversation'): Promise<readonly ManifestHead[]> {
    const listed = new Map<string, ManifestHead>();
    await this.#maintain('listing', async () => {
      const from = this.#world.bucket.version;
      for await (const head of this.#backend.list(kind, {}, this.#abort())) {
        const objectKey = manifestObjectKey(head.key);
        promise(!listed.has(objectKey), () => `${objectKey} was listed twice`);
        listed.set(objectKey, head);
      }
      const span = { from, to: this.#world.bucket.version };
      for (const objectKey of this.#world.watch.records.keys()) {
        if (!objectKey.startsWith(`manifests/${kind}/`)) continue;
        const isTrue = this.#during(objectKey, span).some((state) =>
          isListedAs(state, listed.get(objectKey)),
        );
        promise(isTrue, () => `${objectKey} was listed as it never was meanwhile`);
      }
    });
    return [...listed.values()];
  }

  /**
   * Deletes all of a kind that the list shows and nobody holds, each at the revision that was
   * listed.
   */
  async prune(kind: ManifestKind): Promise<void> {
    const heads = await this.list(kind);
    const writes = heads
      .filter(({ hold }) => hold === undefined)
      .map(({ key, revision }) => this.#world.register.delete(key, revision));
    if (writes.length > 0) await this.commit(writes);
  }

  async #fetch(objectKey: string, locators: readonly Locator[], state: State): Promise<void> {
    try {
      const fetched = await this.#backend.fetch(locators);
      for (const [at, bytes] of fetched.entries()) {
        const { address } = { address: String(locators[at]).split('/')[0] };
        const expected = SEGMENTS.find((segment) => segment.address === address);
        promise(
          expected?.bytes != null && Buffer.compare(bytes, expected.bytes()) === 0,
          () => `segment ${address} was read as other bytes`,
        );
      }
    } catch (error) {
      const { everDamaged } = this.#world.watch;
      const isDamage = locators.some((locator) => everDamaged.has(`segments/${locator}`));
      if (isDamage && codeOf(error) === 'CORRUPT') return;
      if (codeOf(error) !== 'NOT_FOUND') throw error;
      const now = this.#world.history.latest(objectKey);
      promise(
        now.revision !== state.revision,
        () => `${objectKey} has not changed, and a segment of it was not found`,
      );
    }
  }

  #abort(): AbortOptions {
    const signal = this.#patience();
    return signal === undefined ? {} : { signal };
  }

  #begin(writes: readonly TrackedWrite[]): number {
    for (const write of writes) {
      write.calls++;
      write.actor = this.#name;
    }
    return this.#world.bucket.version;
  }

  #checkThrown(writes: readonly TrackedWrite[], error: unknown, from: number): void {
    const code = codeOf(error);
    promise(
      OUTAGES.has(code) || code === 'OUTCOME_UNKNOWN',
      () => `a commit threw ${code}: ${(error as Error).message}\n${(error as Error).stack}`,
    );
    for (const tracked of writes) {
      const span = { from, to: this.#world.bucket.version };
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
    return this.#world.history.during(objectKey, from, to);
  }
}

function isListedAs(
  { revision, expiresAt, isHeld }: State,
  head: ManifestHead | undefined,
): boolean {
  return (
    head?.revision === revision &&
    head?.expiresAt === expiresAt &&
    (head?.hold !== undefined) === isHeld
  );
}
