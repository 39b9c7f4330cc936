import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { VarveError } from '../../../core/errors.ts';
import { LineSorter } from '../../../core/sorting/line-sorter.ts';
import { TemporaryFolder } from '../../../core/sorting/temporary-folder.ts';
import { TextLog } from '../../../core/sorting/text-log.ts';
import type { ManifestKey, ManifestKind } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import {
  attemptOfToken,
  type Generation,
  referrerOfToken,
  type Token,
  tokenOf,
} from '../format/sidecar.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { holds, readReferences, type SeenReferences } from '../tables/references.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { walkManifests } from './manifest-walk.ts';
import { ReferrerKeys } from './referrer-keys.ts';

/** A committed manifest's reference. */
export interface CommittedReference {
  readonly key: ManifestKey;
  readonly gen: Generation;
}

/** Everything that the manifests say about one segment. */
export interface SegmentReferences {
  readonly address: Address;
  /** References of committed content. */
  readonly committed: Map<Token, CommittedReference>;
  /** References of attempts in progress: the sidecar may contain them, or not. */
  readonly announced: Set<Token>;
  /** References about to go: the sidecar may contain them, or not. */
  readonly dropped: Set<Token>;
}

/** Which references a scan keeps. */
export interface ScanScope {
  /** Only those to these segments. Default: all. */
  readonly only?: { has(address: Address): boolean } | undefined;
}

/** What a scan reports on the way. */
export interface ScanVisitor {
  readonly onRecord?: (seen: SeenRecord) => void;
  /** Called with the error of an unreadable manifest. Default: it is skipped. */
  readonly onUnreadable?: (objectKey: string, error: Error) => void;
  /** Whether no more manifests may be read. Default: never. */
  readonly isOver?: () => boolean;
}

/**
 * The references to segments, read from the manifests themselves in one pass: the truth that counts
 * are repaired from (rule `hint-before-change`: no index is asked). They are kept as lines, sorted
 * by segment; more than fit in memory go to a temporary folder. Close it afterwards.
 */
export class ReferenceScan {
  /** Manifests with content. */
  manifests = 0;
  readonly #protocol: Protocol;
  readonly #scope: ScanScope;
  readonly #folder: TemporaryFolder;
  readonly #lines: LineSorter;
  readonly #names: TextLog;
  readonly #referrers: ReferrerKeys;
  #isWhole = false;

  constructor(protocol: Protocol, scope: ScanScope = {}) {
    const { scannedReferences, temporaryFolder } = protocol.settings;
    this.#protocol = protocol;
    this.#scope = scope;
    this.#folder = new TemporaryFolder(temporaryFolder);
    this.#lines = new LineSorter(this.#folder, scannedReferences, protocol.randomness);
    this.#names = new TextLog(this.#folder, protocol.randomness);
    this.#referrers = new ReferrerKeys(protocol, scannedReferences);
  }

  /** Runs written to the temporary folder. */
  get runs(): number {
    return this.#lines.runs.length;
  }

  /** Reads every manifest. Returns whether that was not cut short. */
  async run(
    { onRecord = () => {}, onUnreadable = () => {}, isOver = () => false }: ScanVisitor,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    for await (const { object, references, error } of walkManifests(this.#protocol, signal)) {
      if (isOver()) return false;
      if (error !== undefined) onUnreadable(object.key, error);
      if (references.seen.record === undefined) continue;
      this.#note(object.key, references);
      if (this.#lines.isFull) {
        await this.#lines.makeRoom();
        this.#names.store();
      }
      onRecord(references.seen);
    }
    this.#isWhole = true;
    return true;
  }

  /**
   * What the manifests say of each segment that one of them names, in the order of addresses.
   *
   * @throws `IO` when a temporary file is damaged; `INTERNAL` when the manifests were not all read.
   */
  *inOrder(): Generator<SegmentReferences, void, undefined> {
    if (!this.#isWhole) throw new VarveError('INTERNAL', 'a scan was asked before it had ended');
    let segment: SegmentReferences | undefined;
    for (const line of this.#lines.sorted()) {
      const address = line.slice(0, ADDRESS_LENGTH) as Address;
      if (segment?.address !== address) {
        if (segment !== undefined) yield segment;
        segment = nothingOf(address);
      }
      this.#decode(line, segment);
    }
    if (segment !== undefined) yield segment;
  }

  /**
   * Of the tokens in a segment's sidecar, those that no manifest needs. A token enters a sidecar
   * only after the `pending` that names it is stored, and manifests leave tombstones: so a token
   * that no manifest names can never be committed.
   */
  async leaked(
    { address, committed, announced, dropped }: SegmentReferences,
    tokens: readonly Token[],
  ): Promise<Token[]> {
    const strangers = tokens.filter(
      (token) => !committed.has(token) && !announced.has(token) && !dropped.has(token),
    );
    const leaked = await mapAll(strangers, async (token) =>
      (await this.#isLeaked(address, token)) ? [token] : [],
    );
    return leaked.flat();
  }

  /** Whether the stored content of a reference's manifest has that very reference now. */
  async isCommitted(
    address: Address,
    token: Token,
    { key, gen }: CommittedReference,
  ): Promise<boolean> {
    const objectKey = manifestObjectKey(key);
    const found = await unlessUnreadable(readReferences(this.#protocol, objectKey));
    const attempt = attemptOfToken(token);
    return found !== undefined && holds(found, { address, attempt })?.gen === gen;
  }

  /** Removes what the scan has on disk. */
  close(): void {
    this.#folder.remove();
  }

  #note(objectKey: string, { seen, committed, announced, dropped }: SeenReferences): void {
    const { key, current } = seen.record as ManifestRecord;
    const isWanted = (address: Address) => this.#scope.only?.has(address) ?? true;
    const referrer = referrerOf(objectKey);
    if (current !== undefined) this.manifests++;
    let position: string | undefined;
    for (const { address, gen, attempt } of committed) {
      if (!isWanted(address)) continue;
      position ??= encodePosition(this.#names.add(`${key.kind} ${key.id}`));
      this.#lines.add(`${address}c${position}${tokenOf(referrer, attempt)} ${gen}`);
    }
    for (const { address, attempt } of announced)
      if (isWanted(address)) this.#lines.add(`${address}a${tokenOf(referrer, attempt)}`);
    for (const { address, attempt } of dropped)
      if (isWanted(address)) this.#lines.add(`${address}d${tokenOf(referrer, attempt)}`);
  }

  #decode(line: string, { committed, announced, dropped }: SegmentReferences): void {
    const rest = line.slice(ADDRESS_LENGTH + 1);
    switch (line[ADDRESS_LENGTH]) {
      case 'c': {
        const position = Number.parseInt(rest.slice(0, POSITION_LENGTH), 36);
        const end = rest.indexOf(' ', POSITION_LENGTH);
        const token = rest.slice(POSITION_LENGTH, end) as Token;
        committed.set(token, new ScannedReference(this.#names, position, rest.slice(end + 1)));
        break;
      }
      case 'a':
        announced.add(rest as Token);
        break;
      default:
        dropped.add(rest as Token);
    }
  }

  /**
   * Whether the manifest that a token names does not need it any more, judged by what is stored
   * now.
   */
  async #isLeaked(address: Address, token: Token): Promise<boolean> {
    const objectKey = await this.#referrers.objectKeyOf(referrerOfToken(token));
    if (objectKey === undefined) return true;
    const found = await unlessUnreadable(readReferences(this.#protocol, objectKey));
    // An unreadable manifest may need it.
    if (found === undefined) return false;
    const { committed, announced, dropped } = found;
    const attempt = attemptOfToken(token);
    return ![...committed, ...announced, ...dropped].some(
      (each) => each.address === address && each.attempt === attempt,
    );
  }
}

/** A reference whose manifest's name is looked up when somebody asks. */
class ScannedReference implements CommittedReference {
  readonly gen: Generation;
  readonly #names: TextLog;
  readonly #position: number;

  constructor(names: TextLog, position: number, gen: string) {
    this.#names = names;
    this.#position = position;
    this.gen = gen as Generation;
  }

  get key(): ManifestKey {
    const name = this.#names.at(this.#position);
    const end = name.indexOf(' ');
    return { kind: name.slice(0, end) as ManifestKind, id: name.slice(end + 1) };
  }
}

/** Digits of an address. */
const ADDRESS_LENGTH = 64;

/** Digits of a position in base 36: references sort by it, as their manifests are listed. */
const POSITION_LENGTH = 9;

function encodePosition(position: number): string {
  return position.toString(36).padStart(POSITION_LENGTH, '0');
}

/** What manifests say of a segment that none of them names. */
export function nothingOf(address: Address): SegmentReferences {
  return { address, committed: new Map(), announced: new Set(), dropped: new Set() };
}
