import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { sidecarKey } from '../format/keys.ts';
import type { Sidecar } from '../format/sidecar.ts';
import { type ListedHint, readGarbageHints } from '../listing/hint-listing.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { Diagnosis } from './diagnosis.ts';

/** A listed segment and its sidecar. */
interface SeenSidecar {
  readonly listed: { readonly address: Address };
  readonly sidecar: Sidecar | undefined;
}

/**
 * Finds garbage that no hint names: an everyday collection would not find it. Keeps all hinted
 * segments in memory.
 */
export class UnhintedGarbage {
  readonly #protocol: Protocol;
  readonly #hints: Hints;
  /** The hints that are stored, by key. */
  #read: ReadonlyMap<string, ListedHint> = new Map();
  #hinted: ReadonlySet<Address> | undefined;

  constructor(protocol: Protocol, hints: Hints) {
    this.#protocol = protocol;
    this.#hints = hints;
  }

  async among(seen: readonly SeenSidecar[], signal: AbortSignal | undefined): Promise<Diagnosis[]> {
    const garbage = seen.filter(({ sidecar }) => isGarbage(sidecar));
    const isUnhinted = ({ listed }: SeenSidecar) => !this.#hinted?.has(listed.address);
    if (!garbage.some(isUnhinted)) return [];
    // A hint is older than its garbage (rule `hint-before-change`): it is read now, or the sidecar
    // has changed.
    this.#hinted = await this.#readHints(signal);
    const confirmed = await mapAll(garbage.filter(isUnhinted), async ({ listed, sidecar }) => {
      const { address } = listed;
      const now = await unlessUnreadable(this.#protocol.sidecars.read(address));
      return now?.nonce === sidecar?.nonce ? [address] : [];
    });
    const segments = confirmed.flat();
    let writing: Promise<void> | undefined;
    // One hint names all of them.
    const hint = () => {
      writing ??= this.#hints.write({ segments, manifests: [] });
      return writing;
    };
    return segments.map((address) => unhinted(address, hint));
  }

  async #readHints(signal: AbortSignal | undefined): Promise<Set<Address>> {
    const read = new Map<string, ListedHint>();
    const hinted = new Set<Address>();
    for await (const hint of readGarbageHints(this.#protocol, signal, { known: this.#read })) {
      read.set(hint.object.key, hint);
      for (const address of hint.content?.segments ?? []) hinted.add(address);
    }
    this.#read = read;
    return hinted;
  }
}

function unhinted(address: Address, hint: () => Promise<void>): Diagnosis {
  return {
    finding: {
      kind: 'unindexed',
      message:
        `segment ${address} is garbage, but no hint names it: only a full collection would ` +
        'find it',
      address,
      location: sidecarKey(address),
      manifests: [],
      repair: 'write a hint',
      harmful: false,
    },
    mend: async () => {
      await hint();
      return true;
    },
  };
}

/** Whether a collection could take the segment, or has begun to. */
function isGarbage(sidecar: Sidecar | undefined): boolean {
  if (sidecar === undefined || sidecar.state === 'gone') return false;
  return (
    sidecar.state === 'condemned' ||
    (sidecar.refs.length === 0 && !sidecar.hot && !sidecar.guards?.length)
  );
}
