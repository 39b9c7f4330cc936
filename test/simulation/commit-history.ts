import type { ManifestKey, Revision } from '../../src/backends/contract/manifests.ts';
import { segmentKey } from '../../src/backends/object/format/keys.ts';
import type {
  ManifestContent,
  ManifestRecord,
  RecordEntry,
} from '../../src/backends/object/format/manifest-record.ts';
import { decodeSegment } from '../../src/backends/object/format/segment-data.ts';
import { unspill } from '../../src/backends/object/format/spill.ts';
import type { Bucket } from './bucket.ts';
import type { TrackedWrite, WriteRegister } from './operations.ts';
import { promise } from './violation.ts';

/** What a manifest held from one change of the bucket on, until the next state. */
export interface State {
  readonly since: number;
  readonly revision: Revision | undefined;
  /** Entries' bodies; `undefined`: no manifest. */
  readonly bodies: readonly string[] | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
  readonly isHeld: boolean;
  /**
   * Writes that made it. Deletes and holds look alike, so one is known by who asked for it, and
   * claimed by the caller who is told of it.
   */
  readonly writes: TrackedWrite[];
  readonly actor: string;
}

/**
 * Every state that every manifest has had. A commit is one conditional write, so the order in which
 * the bucket took them *is* the order in which the operations happened: what callers are told is
 * held against it.
 */
export class CommitHistory {
  readonly #register: WriteRegister;
  readonly #bucket: () => Bucket;
  readonly #clockOf: (actor: string) => number;
  readonly #states = new Map<string, State[]>();
  /** Who collects, or has done so: they delete what has expired. */
  readonly collectors = new Set<string>();

  /** `clockOf` tells what time an actor thinks that it is, in ms since the epoch. */
  constructor(register: WriteRegister, bucket: () => Bucket, clockOf: (actor: string) => number) {
    this.#register = register;
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
    actor: string,
  ): void {
    const isHeld = now.current?.hold !== undefined;
    const previous = this.latest(objectKey);
    if (before?.current?.revision === now.current?.revision) {
      if (isHeld !== previous.isHeld) this.#observeHold(objectKey, previous, now, isHeld, actor);
      return;
    }
    const bodies = now.current && this.#bodiesOf(now.current);
    if (bodies === undefined) this.#assertDeletable(objectKey, previous, now, actor);
    const writes = bodies === undefined ? [] : this.#explain(objectKey, previous, bodies);
    for (const write of writes) {
      write.happened++;
      promise(
        write.happened <= write.calls,
        () => `${objectKey}: ${nameOf(write)} happened more often than asked for`,
      );
      promise(
        !write.isOver,
        () => `${objectKey}: ${nameOf(write)} happened after its caller had been told otherwise`,
      );
      this.#assertAllowed(objectKey, previous, write);
    }
    const isAppended = writes[0]?.write.operation === 'append';
    const expiresAt = now.current?.expiresAt;
    const expected = writes.reduce(expiryAfter, isAppended ? previous.expiresAt : undefined);
    promise(
      expiresAt === expected,
      () => `${objectKey} expires at ${expiresAt} instead of ${expected}`,
    );
    promise(
      isHeld === (isAppended && previous.isHeld),
      () => `${objectKey} is ${isHeld ? '' : 'not '}held by a mistake`,
    );
    const since = this.#bucket().version;
    const { revision } = now.current ?? {};
    this.#statesOf(objectKey).push({ since, revision, bodies, expiresAt, isHeld, writes, actor });
  }

  #observeHold(
    objectKey: string,
    previous: State,
    { key }: ManifestRecord,
    isHeld: boolean,
    actor: string,
  ): void {
    const isAsked = this.#register.holds.some(
      (each) => isOpen(each, key, actor) && 'held' in each.write && each.write.held === isHeld,
    );
    promise(
      isAsked,
      () =>
        `${objectKey} was ${isHeld ? 'held' : 'released'} by ${actor}, whom nobody had asked for it`,
    );
    this.#statesOf(objectKey).push({
      ...previous,
      since: this.#bucket().version,
      isHeld,
      writes: [],
      actor,
    });
  }

  /**
   * The content is whole writes, one after the other: those of the state before and new ones, or
   * new ones after a put.
   */
  #explain(objectKey: string, previous: State, bodies: readonly string[]): TrackedWrite[] {
    const isGrown = previous.bodies?.every((body, at) => bodies[at] === body) ?? false;
    const kept = isGrown ? (previous.bodies?.length ?? 0) : 0;
    const writes: TrackedWrite[] = [];
    for (let at = kept; at < bodies.length; ) {
      const expected = this.#register.entryOf(bodies[at] as string);
      promise(
        expected !== undefined,
        () => `${objectKey} holds an entry that nobody wrote: ${bodies[at]}`,
      );
      const { write } = expected;
      promise(
        write.bodies.every((body, position) => bodies[at + position] === body),
        () => `${objectKey} holds ${nameOf(write)} in part: ${bodies.join('; ')}`,
      );
      const isPut = write.write.operation === 'put';
      promise(
        isPut === (at === 0),
        () => `${objectKey}: an append took the place of content, or a put came after it`,
      );
      writes.push(write);
      at += write.bodies.length;
    }
    promise(writes.length > 0, () => `${objectKey} changed its revision and nothing else`);
    return writes;
  }

  #assertAllowed(objectKey: string, previous: State, { write }: TrackedWrite): void {
    if (write.ifRevision !== undefined) {
      promise(
        write.ifRevision === previous.revision,
        () => `${objectKey} was written at another revision than asked`,
      );
    }
    if (write.operation === 'put') {
      promise(!previous.isHeld, () => `${objectKey} was replaced while it was held`);
      const mayReplace = write.ifExists === 'replace' || previous.bodies === undefined;
      promise(mayReplace, () => `${objectKey} was replaced by a write that must not replace`);
    }
    if (write.operation === 'append') {
      promise(
        previous.bodies !== undefined,
        () => `${objectKey} was appended to when it did not exist`,
      );
    }
  }

  #assertDeletable(
    objectKey: string,
    previous: State,
    { key }: ManifestRecord,
    actor: string,
  ): void {
    promise(!previous.isHeld, () => `${objectKey} was deleted while it was held`);
    const isAsked = this.#register.deletes.some(
      (each) =>
        isOpen(each, key, actor) &&
        (each.write.ifRevision === undefined || each.write.ifRevision === previous.revision),
    );
    const now = this.#clockOf(actor);
    const hasExpired =
      this.collectors.has(actor) && (previous.expiresAt ?? Number.POSITIVE_INFINITY) <= now;
    promise(
      isAsked || hasExpired,
      () =>
        `${objectKey} was deleted by ${actor}, whom nobody had asked for it; it expires at ` +
        `${previous.expiresAt}`,
    );
  }

  /**
   * Whether somebody deleted the manifest between two versions; nobody can say so of that deletion
   * again.
   */
  claimDeletion(objectKey: string, write: TrackedWrite, from: number, to: number): boolean {
    return this.#claim(objectKey, write, from, to, ({ bodies }) => bodies === undefined);
  }

  /** The same of placing a hold, or of lifting it. */
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
        each.actor === write.actor &&
        each.writes.length === 0,
    );
    state?.writes.push(write);
    return state !== undefined;
  }

  #bodiesOf(content: ManifestContent): string[] {
    return content.entries.map((entry) => {
      const body = Buffer.from(this.#bodyOf(entry, content)).toString();
      const expected = this.#register.entryOf(body);
      promise(
        expected !== undefined &&
          expected.segments.length === entry.segments.length &&
          expected.segments.every((address, at) => entry.segments[at] === address),
        () => `an entry is stored that nobody wrote: ${body}`,
      );
      for (const address of entry.segments) {
        promise(
          content.holds.has(address),
          () => `an entry uses a segment that its manifest does not hold`,
        );
      }
      return body;
    });
  }

  #bodyOf({ body }: RecordEntry, { holds }: ManifestContent): Uint8Array {
    if (body.kind === 'inline') return body.bytes;
    const parts = body.parts.map(({ address }) => {
      const gen = holds.get(address)?.gen;
      const object = gen && this.#bucket().objects.get(segmentKey(address, gen));
      promise(gen !== undefined && object !== undefined, () => `a spilled body is not there`);
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
  actor: '',
};

/** Whether an actor was asked for a write that may happen yet. */
function isOpen(
  { write, calls, isOver, actor }: TrackedWrite,
  key: ManifestKey,
  by: string,
): boolean {
  return (
    write.key.kind === key.kind && write.key.id === key.id && actor === by && calls > 0 && !isOver
  );
}

function expiryAfter(before: number | undefined, { write }: TrackedWrite): number | undefined {
  if (write.operation === 'put') return write.fields.expiresAt;
  return write.operation === 'append' ? (write.fields?.expiresAt ?? before) : before;
}

export function nameOf({ write, bodies }: TrackedWrite): string {
  return `${write.operation} of ${bodies[0] ?? write.key.id}`;
}
