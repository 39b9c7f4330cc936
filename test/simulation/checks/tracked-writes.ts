import type {
  ManifestKey,
  ManifestWrite,
  NewEntry,
  NewSegment,
  Revision,
} from '../../../src/backends/contract/manifests.ts';
import { type Address, addressOf } from '../../../src/core/address.ts';

/** Contents that writers share, so that they take the same segments. */
export const SEGMENTS: readonly NewSegment[] = ['a', 'b', 'c', 'd'].map((name) => {
  const bytes = Buffer.from(name.repeat(24));
  return {
    address: addressOf(bytes),
    encoding: name === 'b' ? 'tokens' : 'bytes',
    bytes: () => bytes,
  };
});

/**
 * A write whose bodies no other write has: what is stored shows which write stored it.
 */
export interface TrackedWrite {
  readonly write: ManifestWrite;
  /** Bodies in order; none for a delete or a hold. */
  readonly bodies: readonly string[];
  /** The number of calls that have asked for it: a retry asks again. */
  calls: number;
  /** Whether its caller may ask again, whatever the answer is. */
  mayRepeat: boolean;
  /** How often it has happened. */
  happened: number;
  /** The process that asks for it. */
  process: string;
  /**
   * Whether its outcome was reported, so that it must not happen any more.
   */
  isOver: boolean;
}

/** What an entry of a write must look like wherever it is stored. */
export interface ExpectedEntry {
  readonly write: TrackedWrite;
  readonly position: number;
  readonly segments: readonly Address[];
}

/** Creates the writes of a run, and finds them by the bodies that they store. */
export class TrackedWrites {
  readonly #entries = new Map<string, ExpectedEntry>();
  readonly deletes: TrackedWrite[] = [];
  readonly holds: TrackedWrite[] = [];
  #count = 0;

  put(
    key: ManifestKey,
    ifExists: 'error' | 'skip' | 'replace',
    segments: readonly (readonly NewSegment[])[],
    { ifRevision, expiresAt }: { readonly ifRevision?: Revision; readonly expiresAt?: number } = {},
  ): TrackedWrite {
    const entries = this.#newEntries(segments);
    const fields = { logicalBytes: 1, ...(expiresAt !== undefined && { expiresAt }) };
    return this.#track(
      {
        operation: 'put',
        key,
        ifExists,
        fields,
        entries,
        ...(ifRevision !== undefined && { ifRevision }),
      },
      entries,
    );
  }

  append(
    key: ManifestKey,
    segments: readonly (readonly NewSegment[])[],
    {
      idempotencyKey,
      expiresAt,
    }: { readonly idempotencyKey?: string; readonly expiresAt?: number } = {},
  ): TrackedWrite {
    const entries = this.#newEntries(segments);
    return this.#track(
      {
        operation: 'append',
        key,
        logicalBytes: 1,
        entries,
        ...(idempotencyKey !== undefined && { idempotencyKey }),
        ...(expiresAt !== undefined && { fields: { expiresAt } }),
      },
      entries,
    );
  }

  delete(key: ManifestKey, ifRevision?: Revision): TrackedWrite {
    const write = this.#track(
      { operation: 'delete', key, ...(ifRevision !== undefined && { ifRevision }) },
      [],
    );
    this.deletes.push(write);
    return write;
  }

  /** Places a hold, or lifts it. */
  hold(key: ManifestKey, held: boolean): TrackedWrite {
    const write = this.#track({ operation: 'hold', key, held }, []);
    this.holds.push(write);
    return write;
  }

  entryOf(body: string): ExpectedEntry | undefined {
    return this.#entries.get(body);
  }

  #newEntries(segments: readonly (readonly NewSegment[])[]): NewEntry[] {
    const number = ++this.#count;
    return segments.map((each, position) => ({
      body: Buffer.from(`write ${number}, entry ${position}`),
      segments: each,
    }));
  }

  #track(write: ManifestWrite, entries: readonly NewEntry[]): TrackedWrite {
    const bodies = entries.map(({ body }) => Buffer.from(body).toString());
    const tracked: TrackedWrite = {
      write,
      bodies,
      calls: 0,
      mayRepeat: false,
      happened: 0,
      process: '',
      isOver: false,
    };
    for (const [position, { segments }] of entries.entries()) {
      this.#entries.set(bodies[position] as string, {
        write: tracked,
        position,
        segments: segments.map(({ address }) => address),
      });
    }
    return tracked;
  }
}
