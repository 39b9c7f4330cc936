import { LRUCache } from 'lru-cache';
import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { atMost } from '../../../core/collections/cache-bound.ts';
import { isVarveError } from '../../../core/errors.ts';
import type { Call } from '../../storage/call.ts';
import type { RequestOptions } from '../../storage/object-store.ts';
import { sidecarKey } from '../format/keys.ts';
import {
  decodeSidecar,
  encodeSidecar,
  type Sidecar,
  type SidecarContent,
} from '../format/sidecar.ts';
import { Backoff } from './backoff.ts';
import type { Foundation } from './foundation.ts';

/**
 * Computes the new sidecar from the stored one and the number of refusals because others were
 * faster; `undefined` means no change. May be called many times, so it must be idempotent: then a
 * lost reply does no harm.
 */
export type SidecarChange = (
  sidecar: SidecarContent | undefined,
  refusals: number,
) => SidecarContent | undefined;

export interface ChangeOptions {
  /** When nothing is known of the sidecar, try to create it before reading it. Default: false. */
  readonly assumeAbsent?: boolean;
}

interface Known {
  readonly sidecar: Sidecar | undefined;
  readonly etag: string | undefined;
  /** Read after the change was requested, so that "nothing to do" is a valid conclusion. */
  readonly isFresh: boolean;
}

interface Request {
  /** The call that requested it. */
  readonly call: Call;
  readonly bounds: Bounds;
  readonly change: SidecarChange;
  readonly assumeAbsent: boolean;
  readonly resolve: (sidecar: Sidecar | undefined) => void;
  readonly reject: (error: unknown) => void;
}

type Bounds = ReturnType<Call['step']>;

const CACHED_SIDECARS = 20_000;

const NOTHING_KNOWN: Known = { sidecar: undefined, etag: undefined, isFresh: false };

/** Sidecar state that all calls of an open store share. */
export class SidecarMemory {
  readonly cache = new LRUCache<Address, Known>(atMost(CACHED_SIDECARS));
  /** Requested changes, by sidecar. */
  readonly lanes = new Map<Address, Request[]>();
}

/**
 * All sidecars, changed by compare-and-swap. Concurrent changes of one sidecar in this process
 * share a request.
 */
export class SidecarTable {
  readonly #foundation: Foundation;
  readonly #cache: SidecarMemory['cache'];
  readonly #lanes: SidecarMemory['lanes'];

  constructor(foundation: Foundation, { cache, lanes }: SidecarMemory) {
    this.#foundation = foundation;
    this.#cache = cache;
    this.#lanes = lanes;
  }

  /** Reads the sidecar as stored now. */
  async read(address: Address): Promise<Sidecar | undefined> {
    return (await this.#read(address)).sidecar;
  }

  /** The sidecar as this process last saw it; only good for a guess. */
  peek(address: Address): Sidecar | undefined {
    return this.#cache.get(address)?.sidecar;
  }

  /**
   * Makes a change. Resolves with the sidecar that includes it.
   *
   * @throws `BUSY` after contention for too long; what the store throws; what `change` throws.
   */
  change(
    address: Address,
    change: SidecarChange,
    options: ChangeOptions = {},
  ): Promise<Sidecar | undefined> {
    return new Promise((resolve, reject) => {
      const { call } = this.#foundation;
      const request = {
        call,
        bounds: call.step(),
        change,
        assumeAbsent: options.assumeAbsent ?? false,
        resolve,
        reject,
      };
      const lane = this.#lanes.get(address);
      if (lane !== undefined) {
        lane.push(request);
        return;
      }
      this.#lanes.set(address, [request]);
      void this.#drain(address);
    });
  }

  /** Replaces an unreadable sidecar. Returns whether it was still the same one. */
  async replaceDamaged(address: Address, content: SidecarContent): Promise<boolean> {
    const key = sidecarKey(address);
    const object = await this.#foundation.store.get(key);
    if (object === undefined || isReadable(object.body, key)) return false;
    const condition = { kind: 'match' as const, etag: object.etag };
    const result = await this.#foundation.store.put(
      key,
      encodeSidecar(content, this.#foundation.randomness.nonce()),
      condition,
    );
    this.#cache.delete(address);
    return result.outcome === 'stored';
  }

  async #drain(address: Address): Promise<void> {
    // Changes requested in the same turn share the first request.
    await Promise.resolve();
    for (;;) {
      const requests = this.#lanes.get(address) as Request[];
      if (requests.length === 0) break;
      this.#lanes.set(address, []);
      const bounds = sharedBounds(requests);
      try {
        await this.#apply(address, requests, bounds);
      } catch (error) {
        // A change may be made twice, so calls that continue may request it again.
        for (const request of requests) {
          if (goesOn(request, bounds, error)) (this.#lanes.get(address) as Request[]).push(request);
          else request.reject(error);
        }
      }
    }
    this.#lanes.delete(address);
  }

  async #apply(address: Address, requests: readonly Request[], bounds: Bounds): Promise<void> {
    const backoff = new Backoff(this.#foundation, bounds);
    let known = this.#cache.get(address);
    if (known === undefined) {
      known = requests.some(({ assumeAbsent }) => assumeAbsent)
        ? NOTHING_KNOWN
        : await this.#read(address, bounds);
    }
    for (let refusals = 0; ; ) {
      const { changed, waiting } = applyAll(requests, known.sidecar, refusals);
      if (waiting.length === 0) return;
      if (changed === undefined) {
        if (known.isFresh) {
          for (const { resolve } of waiting) resolve(known.sidecar);
          return;
        }
      } else {
        const stored = await this.#put(address, changed, known, bounds);
        if (stored !== undefined) {
          for (const { resolve } of waiting) resolve(stored);
          return;
        }
        if (refusals++ > 0) await backoff.pause(`changing the references of segment ${address}`);
      }
      known = await this.#read(address, bounds);
    }
  }

  async #put(
    address: Address,
    content: SidecarContent,
    base: Known,
    bounds: Bounds,
  ): Promise<Sidecar | undefined> {
    const key = sidecarKey(address);
    const body = encodeSidecar(content, this.#foundation.randomness.nonce());
    const condition =
      base.etag === undefined
        ? { kind: 'absent' as const }
        : { kind: 'match' as const, etag: base.etag };
    const result = await this.#foundation.store.put(key, body, condition, bounds);
    if (result.outcome !== 'stored') {
      this.#cache.delete(address);
      return undefined;
    }
    this.#foundation.serverClock.observe(result.serverTime);
    const sidecar = decodeSidecar(body, key);
    this.#cache.set(address, { sidecar, etag: result.etag, isFresh: false });
    return sidecar;
  }

  async #read(address: Address, bounds: RequestOptions = {}): Promise<Known> {
    const key = sidecarKey(address);
    const object = await this.#foundation.store.get(key, bounds);
    if (object === undefined) {
      this.#cache.delete(address);
      return { ...NOTHING_KNOWN, isFresh: true };
    }
    this.#foundation.serverClock.observe(object.serverTime);
    const known = { sidecar: decodeSidecar(object.body, key), etag: object.etag };
    this.#cache.set(address, { ...known, isFresh: false });
    return { ...known, isFresh: true };
  }
}

/** Bounds of a request that several calls share: it ends with the first of them. */
function sharedBounds(requests: readonly Request[]): Bounds {
  const [first, ...others] = requests.map(({ bounds }) => bounds) as [Bounds, ...Bounds[]];
  if (requests.every(({ call }) => call === requests[0]?.call)) return first;
  const deadline = Math.min(first.deadline, ...others.map((each) => each.deadline));
  const signals = [...new Set([first, ...others].flatMap(({ signal }) => signal ?? []))];
  return signals.length === 0 ? { deadline } : { deadline, signal: AbortSignal.any(signals) };
}

/** Whether a shared request ended because another call ended. */
function goesOn({ bounds, reject }: Request, shared: Bounds, error: unknown): boolean {
  try {
    throwIfAborted(bounds.signal);
  } catch (aborted) {
    reject(aborted);
    return false;
  }
  if (isVarveError(error, 'ABORTED')) return true;
  return isVarveError(error) && error.retryable && bounds.deadline > shared.deadline;
}

/** Applies changes one after the other; rejects and skips one that throws. */
function applyAll(
  requests: readonly Request[],
  sidecar: SidecarContent | undefined,
  refusals: number,
): { changed: SidecarContent | undefined; waiting: Request[] } {
  const waiting: Request[] = [];
  let content = sidecar;
  let changed: SidecarContent | undefined;
  for (const request of requests) {
    try {
      const next = request.change(content, refusals);
      if (next !== undefined) {
        content = next;
        changed = next;
      }
      waiting.push(request);
    } catch (error) {
      request.reject(error);
    }
  }
  return { changed, waiting };
}

function isReadable(body: Uint8Array, key: string): boolean {
  try {
    decodeSidecar(body, key);
    return true;
  } catch (error) {
    if (isVarveError(error, 'CORRUPT')) return false;
    throw error;
  }
}
