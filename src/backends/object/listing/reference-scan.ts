import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MANIFEST_KINDS, type ManifestKey } from '../../contract/manifests.ts';
import { listPages } from '../../storage/listing.ts';
import { manifestsPrefix, referrerOf } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import {
  type AttemptId,
  type Generation,
  referrerOfToken,
  type Token,
  tokenOf,
} from '../format/sidecar.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { walkManifests } from './manifest-walk.ts';

/** A committed manifest's reference. */
export interface CommittedReference {
  readonly key: ManifestKey;
  readonly gen: Generation;
}

/** Everything that the manifests say about one segment. */
export interface SegmentReferences {
  /** References of committed content. */
  readonly committed: Map<Token, CommittedReference>;
  /** References of attempts in progress: the sidecar may contain them, or not. */
  readonly announced: Set<Token>;
  /** References about to go: the sidecar may contain them, or not. */
  readonly dropped: Set<Token>;
}

/** Which references a scan keeps. */
export interface ScanScope {
  /** Skips segments with a lower address. Default: none. */
  readonly from?: string;
  /** Only these segments. Default: all. */
  readonly only?: ReadonlySet<Address>;
  /** Most references kept, at least 1. Default: that of the store's settings. */
  readonly most?: number;
}

/**
 * The references to segments, read from the manifests themselves: the truth that counts are
 * repaired from (rule `hint-before-change`: no index is asked). If there are more than fit in
 * memory, those of the highest addresses are left to another scan.
 */
export class ReferenceScan {
  readonly #protocol: Protocol;
  readonly #from: string;
  readonly #only: ReadonlySet<Address> | undefined;
  readonly #most: number;
  readonly #segments = new Map<Address, SegmentReferences>();
  #kept = 0;
  #until: Address | undefined;
  readonly #objectKeys = new Map<string, string>();
  manifests = 0;

  constructor(
    protocol: Protocol,
    { from = '', only, most = protocol.settings.scannedReferences }: ScanScope = {},
  ) {
    this.#protocol = protocol;
    this.#from = from;
    this.#only = only;
    this.#most = most;
  }

  /** The lowest address that was skipped for lack of memory; `undefined` when none was. */
  get until(): Address | undefined {
    return this.#until;
  }

  /** Reads every manifest; calls back with each record, and with errors of unreadable ones. */
  async run(
    onRecord: (seen: SeenRecord) => void,
    onDamage: (objectKey: string, error: Error) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for await (const { object, seen, error } of walkManifests(this.#protocol, signal)) {
      if (error !== undefined) onDamage(object.key, error);
      if (seen.record === undefined) continue;
      this.#note(object.key, seen.record);
      onRecord(seen);
    }
  }

  of(address: Address): SegmentReferences | undefined {
    return this.#segments.get(address);
  }

  /** Every segment that committed content references. */
  *referenced(): Iterable<Address> {
    for (const [address, { committed }] of this.#segments) if (committed.size > 0) yield address;
  }

  /**
   * Of the tokens in a segment's sidecar, those that no manifest needs. A token enters a sidecar
   * only after the `pending` that names it is stored, and manifests leave tombstones: so a token
   * that no manifest names can never be committed.
   */
  async leaked(address: Address, tokens: readonly Token[]): Promise<Token[]> {
    const known = this.#segments.get(address);
    const strangers = tokens.filter(
      (token) =>
        !known?.committed.has(token) && !known?.announced.has(token) && !known?.dropped.has(token),
    );
    const leaked = await mapAll(strangers, async (token) =>
      (await this.#isLeaked(address, token)) ? [token] : [],
    );
    return leaked.flat();
  }

  /** Whether a manifest's stored content references the segment at that generation now. */
  async isCommitted(address: Address, token: Token, gen: Generation): Promise<boolean> {
    const objectKey = await this.#objectKeyOf(referrerOfToken(token));
    if (objectKey === undefined) return false;
    const seen = await unlessUnreadable(this.#protocol.manifests.readObject(objectKey));
    const reference = seen?.record?.current?.references.get(address);
    return (
      reference !== undefined &&
      reference.gen === gen &&
      tokenOf(referrerOf(objectKey), reference.attempt) === token
    );
  }

  #note(objectKey: string, { key, current, pending, dropped }: ManifestRecord): void {
    const referrer = referrerOf(objectKey);
    if (current !== undefined) this.manifests++;
    for (const [address, { gen, attempt }] of current?.references ?? []) {
      this.#keep(address)?.committed.set(tokenOf(referrer, attempt), { key, gen });
    }
    for (const { attempt, adds } of pending) {
      for (const address of adds) this.#keep(address)?.announced.add(tokenOf(referrer, attempt));
    }
    for (const { address, attempt } of dropped)
      this.#keep(address)?.dropped.add(tokenOf(referrer, attempt));
    if (this.#kept > this.#most) this.#narrow();
  }

  /** Where to keep one more reference to a segment; `undefined` when it is skipped. */
  #keep(address: Address): SegmentReferences | undefined {
    if (address < this.#from || (this.#until !== undefined && address >= this.#until))
      return undefined;
    if (this.#only !== undefined && !this.#only.has(address)) return undefined;
    this.#kept++;
    const known = this.#segments.get(address);
    if (known !== undefined) return known;
    const entry = {
      committed: new Map<Token, CommittedReference>(),
      announced: new Set<Token>(),
      dropped: new Set<Token>(),
    };
    this.#segments.set(address, entry);
    return entry;
  }

  /**
   * Drops the upper half, but never the lowest address: it may have more references than fit in
   * memory.
   */
  #narrow(): void {
    const addresses = [...this.#segments.keys()].sort();
    let kept = 0;
    this.#until =
      addresses.find((address) => {
        const size = sizeOf(this.#segments.get(address) as SegmentReferences);
        const isLeftOut = kept > 0 && kept + size > this.#most / 2;
        if (!isLeftOut) kept += size;
        return isLeftOut;
      }) ?? this.#until;
    for (const address of addresses) {
      if (this.#until !== undefined && address >= this.#until) this.#segments.delete(address);
    }
    this.#kept = kept;
  }

  /**
   * Whether the manifest that a token names does not need it any more, judged by what is stored
   * now.
   */
  async #isLeaked(address: Address, token: Token): Promise<boolean> {
    const objectKey = await this.#objectKeyOf(referrerOfToken(token));
    if (objectKey === undefined) return true;
    const seen = await unlessUnreadable(this.#protocol.manifests.readObject(objectKey));
    // An unreadable manifest may need it.
    if (seen === undefined) return false;
    return seen.record === undefined || !namesToken(seen.record, objectKey, address, token);
  }

  /** Lists the keys when one is asked for first, and again for a referrer that came since. */
  async #objectKeyOf(referrer: string): Promise<string | undefined> {
    if (!this.#objectKeys.has(referrer)) {
      for (const kind of MANIFEST_KINDS) {
        for await (const page of listPages(this.#protocol, manifestsPrefix(kind))) {
          for (const { key } of page) this.#objectKeys.set(referrerOf(key), key);
        }
      }
    }
    return this.#objectKeys.get(referrer);
  }
}

function sizeOf({ committed, announced, dropped }: SegmentReferences): number {
  return committed.size + announced.size + dropped.size;
}

function namesToken(
  { current, pending, dropped }: ManifestRecord,
  objectKey: string,
  address: Address,
  token: Token,
): boolean {
  const referrer = referrerOf(objectKey);
  const is = (attempt: AttemptId) => tokenOf(referrer, attempt) === token;
  const reference = current?.references.get(address);
  return (
    (reference !== undefined && is(reference.attempt)) ||
    pending.some(({ attempt, adds }) => is(attempt) && adds.includes(address)) ||
    dropped.some((each) => each.address === address && is(each.attempt))
  );
}
