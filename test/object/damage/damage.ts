import { expect } from 'vitest';
import type { Finding, FindingKind } from '../../../src/backends/contract/audit.ts';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import { commit, entry, put, segment } from '../../conformance/builders.ts';
import { type DamagedStore, MANIFEST, TEXT } from './damaged-store.ts';

/** A damage that is done by hand, and what an audit reports of it. */
export interface Damage {
  readonly name: string;
  /** The kind of the first finding. */
  readonly kind: FindingKind;
  readonly damage: (store: DamagedStore) => Promise<void>;
  /** All findings of an audit, exactly. */
  readonly findings: (store: DamagedStore) => Promise<Finding[]>;
  /** The findings of an audit after a repair. Default: none. */
  readonly after?: (store: DamagedStore) => Promise<Finding[]>;
  /** How the conversations read before a repair. Default: both are whole. */
  readonly reads?: Readonly<Record<'a' | 'b', string>>;
  /** Checks what a repair leaves. */
  readonly leaves: (store: DamagedStore) => Promise<void>;
}

export const ADDRESS = {
  a: segment(TEXT.a).address,
  b: segment(TEXT.b).address,
  shared: segment(TEXT.shared).address,
};
export const TO_MARK = 'mark it, so that the next put of the same bytes heals it';
export const MARKED = 'none: it is marked, and the next put of the same bytes heals it';
export const REBUILD = 'rebuild the sidecar from the manifests';

/** A finding that is harmless and cannot be repaired, except as `given` says. */
export function finding(given: Pick<Finding, 'kind' | 'message'> & Partial<Finding>): Finding {
  return { manifests: [], repair: 'none', repaired: false, harmful: false, ...given };
}

/** Sorted as audits report them. */
export function byAddress(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((one, other) => (String(one.address) < String(other.address) ? -1 : 1));
}

/** The key of the data of a text, as the manifest b references it. */
export async function dataKeyOfB(store: DamagedStore, text: string): Promise<string> {
  const { address } = segment(text);
  const gen = (await store.record(MANIFEST.b)).current?.references.get(address)?.gen;
  if (gen === undefined) throw new Error('b does not hold it');
  return segmentKey(address, gen);
}

export async function dropHints(store: DamagedStore): Promise<void> {
  await store.objects.delete(await store.keys('hints/releases/'));
}

/** Collects in a process of its own. Returns the number of collected segments. */
export function collected(store: DamagedStore, options = {}): Promise<number> {
  return store.use(
    async (backend) => (await backend.collect({ graceMs: 0, ...options })).collectedSegments,
  );
}

/** Puts the same bytes again, and checks that this heals all manifests. */
export async function expectHealing(store: DamagedStore): Promise<void> {
  await store.use((backend) =>
    commit(backend, put('again', [entry('again', TEXT.a, TEXT.b, TEXT.shared)])),
  );
  expect(await store.findings()).toEqual([]);
  expect(await store.read()).toEqual({ a: 'whole', b: 'whole' });
}
