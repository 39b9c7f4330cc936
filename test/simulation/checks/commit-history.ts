import type { ManifestKey, Revision } from '../../../src/backends/contract/manifests.ts';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import type {
  ManifestContent,
  ManifestRecord,
  RecordEntry,
} from '../../../src/backends/object/format/manifest-record.ts';
import { decodeSegment } from '../../../src/backends/object/format/segment-data.ts';
import { unspill } from '../../../src/backends/object/format/spill.ts';
import type { Bucket } from '../simulator/bucket.ts';
import type { TrackedWrite, TrackedWrites } from './tracked-writes.ts';
import { check } from './violation.ts';

/** A state of a manifest: from one change of the bucket until the next state. */
export interface State {
  readonly since: number;
  readonly revision: Revision | undefined;
  /** Bodies of the entries; `undefined`: no manifest. */
  readonly bodies: readonly string[] | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
  readonly isHeld: boolean;
  /**
   * Writes that led to it. Deletes and holds store nothing of their own: they are found by the
   * process that asked for them, and claimed by the first caller to whom one is reported.
   */
  readonly writes: TrackedWrite[];
  readonly process: string;
}

/**
 * Every state that every manifest has had. A commit is one conditional write, so the order in which
 * the bucket applied them *is* the order of the operations: the outcomes that callers get are
 * checked against it.
 */
export class CommitHistory {
  readonly #writes: TrackedWrites;
  readonly #bucket: () => Bucket;
  readonly #clockOf: (process: string) => number;
  readonly #states = new Map<string, State[]>();
  /** Processes that have begun to collect: they delete what has expired. */
  readonly collectors = new Set<string>();

  /** `clockOf` returns the time by the clock of a process, in ms since the epoch. */
  constructor(writes: TrackedWrites, bucket: () => Bucket, clockOf: (process: string) => number) {
    this.#writes = writes;
    this.#bucket = bucket;
    this.#clockOf = clockOf;
  }

  /** States that the manifest was in at any time from one version of the bucket to another. */
  during(objectKey: string, from: number, to: number): State[] {
    const states = this.#statesOf(objectKey);
    return states.filter(
      ({ since }, at) => since <= to && (states[at + 1]?.since ?? Number.POSITIVE_INFINITY) > from,
    );
  }

  latest(objectKey: string): State {
    return this.#statesOf(objectKey).at(-1) as State;
  }

  /** The state that a write made, if it happened between two versions. */
  madeBy(objectKey: string, write: TrackedWrite, from: number, to: number): State | undefined {
    return this.#statesOf(objectKey).find(
      ({ since, writes }) => since > from && since <= to && writes.includes(write),
    );
  }

  observe(
    objectKey: string,
    before: ManifestRecord | undefined,
    now: ManifestRecord,
    process: string,
  ): void {
    const isHeld = now.current?.hold !== undefined;
    const previous = this.latest(objectKey);
    if (before?.current?.revision === now.current?.revision) {
      if (isHeld !== previous.isHeld) this.#observeHold(objectKey, previous, now, isHeld, process);
      return;
    }
    const bodies = now.current && this.#bodiesOf(now.current);
    if (bodies === undefined) this.#assertDeletable(objectKey, previous, now, process);
    const writes = bodies === undefined ? [] : this.#explain(objectKey, previous, bodies);
    for (const write of writes) {
      write.happened++;
      check(
        write.happened <= write.calls,
        () => `${objectKey}: ${nameOf(write)} happened more often than it was asked for`,
      );
      check(
        !write.isOver,
        () => `${objectKey}: ${nameOf(write)} happened after its outcome was reported`,
      );
      this.#assertAllowed(objectKey, previous, write);
    }
    const isAppended = writes[0]?.write.operation === 'append';
    const expiresAt = now.current?.expiresAt;
    const expected = writes.reduce(expiryAfter, isAppended ? previous.expiresAt : undefined);
    check(
      expiresAt === expected,
      () => `${objectKey} expires at ${expiresAt} instead of ${expected}`,
    );
    check(
      isHeld === (isAppended && previous.isHeld),
      () => `${objectKey} is ${isHeld ? 'held, and must not be' : 'not held, and must be'}`,
    );
    const since = this.#bucket().version;
    const { revision } = now.current ?? {};
    this.#statesOf(objectKey).push({ since, revision, bodies, expiresAt, isHeld, writes, process });
  }

  #observeHold(
    objectKey: string,
    previous: State,
    { key }: ManifestRecord,
    isHeld: boolean,
    process: string,
  ): void {
    const isAsked = this.#writes.holds.some(
      (each) => isOpen(each, key, process) && 'held' in each.write && each.write.held === isHeld,
    );
    check(
      isAsked,
      () =>
        `${objectKey} was ${isHeld ? 'held' : 'released'} by ${process} without a request to do so`,
    );
    this.#statesOf(objectKey).push({
      ...previous,
      since: this.#bucket().version,
      isHeld,
      writes: [],
      process,
    });
  }

  /**
   * Returns the new writes of a content. It has to consist of whole writes, one after the other:
   * either those of the state before and new ones, or a put and what follows it.
   */
  #explain(objectKey: string, previous: State, bodies: readonly string[]): TrackedWrite[] {
    const isGrown = previous.bodies?.every((body, at) => bodies[at] === body) ?? false;
    const kept = isGrown ? (previous.bodies?.length ?? 0) : 0;
    const writes: TrackedWrite[] = [];
    for (let at = kept; at < bodies.length; ) {
      const expected = this.#writes.entryOf(bodies[at] as string);
      check(
        expected !== undefined,
        () => `${objectKey} has an entry that nobody wrote: ${bodies[at]}`,
      );
      const { write } = expected;
      check(
        write.bodies.every((body, position) => bodies[at + position] === body),
        () => `${objectKey} has only a part of ${nameOf(write)}: ${bodies.join('; ')}`,
      );
      const isPut = write.write.operation === 'put';
      check(
        isPut === (at === 0),
        () => `${objectKey}: an append replaced content, or a put was appended`,
      );
      writes.push(write);
      at += write.bodies.length;
    }
    check(writes.length > 0, () => `${objectKey} changed nothing but its revision`);
    return writes;
  }

  #assertAllowed(objectKey: string, previous: State, { write }: TrackedWrite): void {
    if (write.ifRevision !== undefined) {
      check(
        write.ifRevision === previous.revision,
        () => `${objectKey} was written at another revision than \`ifRevision\``,
      );
    }
    if (write.operation === 'put') {
      check(!previous.isHeld, () => `${objectKey} was replaced while it was held`);
      const mayReplace = write.ifExists === 'replace' || previous.bodies === undefined;
      check(mayReplace, () => `${objectKey} was replaced, although \`ifExists\` forbids it`);
    }
    if (write.operation === 'append') {
      check(
        previous.bodies !== undefined,
        () => `${objectKey} was appended to when it did not exist`,
      );
    }
  }

  #assertDeletable(
    objectKey: string,
    previous: State,
    { key }: ManifestRecord,
    process: string,
  ): void {
    check(!previous.isHeld, () => `${objectKey} was deleted while it was held`);
    const isAsked = this.#writes.deletes.some(
      (each) =>
        isOpen(each, key, process) &&
        (each.write.ifRevision === undefined || each.write.ifRevision === previous.revision),
    );
    const now = this.#clockOf(process);
    const hasExpired =
      this.collectors.has(process) && (previous.expiresAt ?? Number.POSITIVE_INFINITY) <= now;
    check(
      isAsked || hasExpired,
      () =>
        `${objectKey} was deleted by ${process} without a request to do so; it expires at ` +
        `${previous.expiresAt}`,
    );
  }

  /**
   * Whether the process of the write deleted the manifest between two versions. Each deletion
   * counts for one write only.
   */
  claimDeletion(objectKey: string, write: TrackedWrite, from: number, to: number): boolean {
    return this.#claim(objectKey, write, from, to, ({ bodies }) => bodies === undefined);
  }

  /** The same for placing a hold, or lifting it. */
  claimHold(
    objectKey: string,
    write: TrackedWrite,
    isHeld: boolean,
    from: number,
    to: number,
  ): boolean {
    return this.#claim(
      objectKey,
      write,
      from,
      to,
      (state) => state.bodies !== undefined && state.isHeld === isHeld,
    );
  }

  #claim(
    objectKey: string,
    write: TrackedWrite,
    from: number,
    to: number,
    is: (state: State) => boolean,
  ): boolean {
    const state = this.#statesOf(objectKey).find(
      (each) =>
        is(each) &&
        each.since > from &&
        each.since <= to &&
        each.process === write.process &&
        each.writes.length === 0,
    );
    state?.writes.push(write);
    return state !== undefined;
  }

  #bodiesOf(content: ManifestContent): string[] {
    return content.entries.map((entry) => {
      const body = Buffer.from(this.#bodyOf(entry, content)).toString();
      const expected = this.#writes.entryOf(body);
      check(
        expected !== undefined &&
          expected.segments.length === entry.segments.length &&
          expected.segments.every((address, at) => entry.segments[at] === address),
        () => `an entry is stored that nobody wrote: ${body}`,
      );
      for (const address of entry.segments) {
        check(
          content.references.has(address),
          () => `an entry uses a segment that its manifest does not reference`,
        );
      }
      return body;
    });
  }

  #bodyOf({ body }: RecordEntry, { references }: ManifestContent): Uint8Array {
    if (body.kind === 'inline') return body.bytes;
    const parts = body.parts.map(({ address }) => {
      const gen = references.get(address)?.gen;
      const object = gen && this.#bucket().objects.get(segmentKey(address, gen));
      check(gen !== undefined && object !== undefined, () => `a spilled body is not there`);
      return decodeSegment(
        (object as { body: Uint8Array }).body,
        address,
        gen as NonNullable<typeof gen>,
      );
    });
    return unspill(body, parts);
  }

  #statesOf(objectKey: string): State[] {
    const known = this.#states.get(objectKey);
    if (known !== undefined) return known;
    const states: State[] = [{ ...NOTHING, writes: [] }];
    this.#states.set(objectKey, states);
    return states;
  }
}

const NOTHING = {
  since: 0,
  revision: undefined,
  bodies: undefined,
  expiresAt: undefined,
  isHeld: false,
  process: '',
};

/** Whether a process was asked for a write that may still happen. */
function isOpen(tracked: TrackedWrite, key: ManifestKey, process: string): boolean {
  const { write, calls, isOver } = tracked;
  const isSameKey = write.key.kind === key.kind && write.key.id === key.id;
  return isSameKey && tracked.process === process && calls > 0 && !isOver;
}

function expiryAfter(before: number | undefined, { write }: TrackedWrite): number | undefined {
  if (write.operation === 'put') return write.fields.expiresAt;
  return write.operation === 'append' ? (write.fields?.expiresAt ?? before) : before;
}

export function nameOf({ write, bodies }: TrackedWrite): string {
  return `${write.operation} of ${bodies[0] ?? write.key.id}`;
}
