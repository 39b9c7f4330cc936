/**
 * A *pin* is a manifest that holds raw segments: each entry references one. A pin has a name, and
 * may have an *owner* (the manifest's `application`) and a time from which it expires.
 */
import type { Backend } from '../backends/contract/backend.ts';
import {
  type ListFilter,
  listFilterKinds,
  type ManifestFields,
  type ManifestHead,
  type ManifestKey,
  type ManifestWrite,
  type Revision,
  type SegmentEncoding,
  type WriteSuccess,
} from '../backends/contract/manifests.ts';
import { type AbortOptions, abortOf, throwIfAborted } from '../core/abort.ts';
import { type Address, addressOf } from '../core/address.ts';
import { isVarveError, VarveError } from '../core/errors.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';
import { declareOptions } from '../core/options/options.ts';

/** What a list returns of a pin. */
export interface PinHead {
  readonly pin: string;
  readonly owner?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt?: number;
  readonly revision: Revision;
  /** How many segments it holds. */
  readonly segments: number;
  /** Their canonical bytes. */
  readonly bytes: number;
}

/** A pin, with the addresses of what it holds. */
export interface PinStat extends PinHead {
  /** The segments that it holds, in the order in which they were put. */
  readonly addresses: readonly Address[];
}

/** Which pins a list returns, and in which order. */
export interface PinFilter extends Pick<ListFilter, 'since' | 'until' | 'order'>, AbortOptions {
  readonly owner?: string | undefined;
}

export const PIN_FILTER = declareOptions<PinFilter>()({
  members: (is: OptionKinds) => {
    const { since, until, order } = listFilterKinds(is);
    return { owner: is.text, since, until, order, signal: is.signal };
  },
});

/** Where a segment is, and what holds it. */
export interface SegmentReceipt {
  readonly address: Address;
  /** The pin that holds the segment until it is released or expires. */
  readonly pin: string;
  /** Whether this call stored the segment; `false` when it was stored already. */
  readonly created: boolean;
}

/** A segment as it is put. */
export interface RawSegment {
  readonly bytes: Uint8Array;
  readonly encoding: SegmentEncoding;
}

/** What an existing pin takes over from a put. */
interface PinFields extends AbortOptions {
  readonly owner?: string | undefined;
  readonly expiresAt?: number | undefined;
}

/** The body of a pin's entry, format 1: this one byte. */
const PIN_ENTRY_BODY = Uint8Array.of(1);

/** The pins of a store. */
export class Pins {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Adds segments to a pin, which is created when it does not exist. Each is an append whose
   * idempotency key is its address, so a pin holds a segment once, however often and by whomever it
   * is put.
   */
  async hold(
    segments: readonly RawSegment[],
    pin: string,
    options: PinFields,
  ): Promise<SegmentReceipt[]> {
    const key = keyOf(pin);
    const abort = abortOf(options.signal);
    const addresses = segments.map(({ bytes }) => addressOf(bytes));
    const fields = fieldsOf(options);
    const writes = segments.map(({ bytes, encoding }, i): ManifestWrite => {
      const address = addresses[i] as Address;
      return {
        operation: 'append',
        key,
        idempotencyKey: Buffer.from(address, 'hex').toString('base64url'),
        logicalBytes: bytes.length,
        fields,
        entries: [{ body: PIN_ENTRY_BODY, segments: [{ address, encoding, bytes: () => bytes }] }],
      };
    });
    const create: ManifestWrite = {
      operation: 'put',
      key,
      ifExists: 'skip',
      fields: { ...fields, logicalBytes: 0 },
      entries: [],
    };
    for (;;) {
      throwIfAborted(options.signal);
      try {
        const [pinned, ...held] = await this.#commit([create, ...writes], abort);
        if (pinned?.status !== 'created') await this.#setFields(key, fields, abort);
        return held.map(({ newSegments }, i) => ({
          address: addresses[i] as Address,
          pin,
          created: newSegments > 0,
        }));
      } catch (error) {
        // When a batch is not one transaction, somebody may release the pin between its steps.
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
      }
    }
  }

  /** Sets fields of a pin that an append left alone because it had nothing to add. */
  async #setFields(
    key: ManifestKey,
    fields: Partial<ManifestFields>,
    abort: AbortOptions,
  ): Promise<void> {
    if (Object.keys(fields).length === 0) return;
    const [head] = await this.#backend.heads([key], abort);
    const isSet =
      (fields.application ?? head?.application) === head?.application &&
      (fields.expiresAt ?? head?.expiresAt) === head?.expiresAt;
    if (isSet) return;
    await this.#commit([{ operation: 'append', key, logicalBytes: 0, fields, entries: [] }], abort);
  }

  /** Deletes a pin. Returns whether there was one. */
  async release(pin: string, abort: AbortOptions): Promise<boolean> {
    const [outcome] = await this.#commit([{ operation: 'delete', key: keyOf(pin) }], abort);
    return outcome?.status === 'deleted';
  }

  /** Lists the pins that pass the filter. */
  async *list(
    { owner, ...filter }: Omit<PinFilter, 'signal'>,
    abort: AbortOptions,
  ): AsyncGenerator<PinHead, void, undefined> {
    const ofOwner = { ...filter, ...(owner !== undefined && { application: owner }) };
    for await (const head of this.#backend.list('pin', ofOwner, abort)) yield headOf(head);
  }

  /** What a pin is and holds; `undefined` when there is no such pin. */
  async stat(pin: string, abort: AbortOptions): Promise<PinStat | undefined> {
    for (;;) {
      const [manifest] = await this.#backend.read([keyOf(pin)], abort);
      if (!manifest) return undefined;
      try {
        const locators = manifest.entries.flatMap(({ segments }) => segments);
        const addresses = await this.#backend.addresses(locators, abort);
        return { ...headOf(manifest), addresses };
      } catch (cause) {
        if (!isVarveError(cause, 'NOT_FOUND')) throw cause;
        const [now] = await this.#backend.heads([keyOf(pin)], abort);
        if (now?.revision !== manifest.revision) continue;
        const message = `pin ${JSON.stringify(pin)} holds a segment that is not stored`;
        throw new VarveError('CORRUPT', message, { cause });
      }
    }
  }

  async #commit(writes: readonly ManifestWrite[], abort: AbortOptions): Promise<WriteSuccess[]> {
    const outcomes = await this.#backend.commit(writes, abortOf(abort.signal));
    return outcomes.map((outcome) => {
      if (outcome.status === 'failed') throw outcome.error;
      return outcome;
    });
  }
}

function keyOf(pin: string): ManifestKey {
  return { kind: 'pin', id: pin };
}

function fieldsOf({
  owner,
  expiresAt,
}: PinFields): Pick<ManifestFields, 'application' | 'expiresAt'> {
  return {
    ...(owner !== undefined && { application: owner }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

function headOf(head: ManifestHead): PinHead {
  return {
    pin: head.key.id,
    ...(head.application !== undefined && { owner: head.application }),
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    ...(head.expiresAt !== undefined && { expiresAt: head.expiresAt }),
    revision: head.revision,
    segments: head.entryCount,
    bytes: head.logicalBytes,
  };
}
