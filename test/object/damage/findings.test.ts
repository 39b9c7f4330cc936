import { describe, expect, test } from 'vitest';
import type { Finding, FindingKind } from '../../../src/backends/contract/audit.ts';
import { MARKED, TO_MARK } from './damage.ts';
import { DamagedStore } from './damaged-store.ts';
import { DATA_DAMAGES } from './data-damages.ts';
import { MANIFEST_DAMAGES } from './manifest-damages.ts';
import { SIDECAR_DAMAGES } from './sidecar-damages.ts';

const DAMAGES = [...DATA_DAMAGES, ...SIDECAR_DAMAGES, ...MANIFEST_DAMAGES];

const WHOLE = { a: 'whole', b: 'whole' };

/** What a repair reports of findings: repaired, or marked. */
function repairedOf(findings: readonly Finding[]): Finding[] {
  return findings.map((each) => {
    if (each.repair.startsWith('none')) return each;
    return each.repair === TO_MARK ? { ...each, repair: MARKED } : { ...each, repaired: true };
  });
}

describe('an audit of objects', () => {
  test.each(DAMAGES)('reports $name, and what a repair does about it', async (damage) => {
    const { kind, findings, after = async () => [], reads = WHOLE, leaves } = damage;
    const store = await DamagedStore.open();
    await damage.damage(store);
    const expected = await findings(store);
    expect(expected[0]?.kind).toBe(kind);
    const before = await store.snapshot();
    expect(await store.findings()).toEqual(expected);
    expect(await store.snapshot()).toEqual(before);
    expect(await store.read()).toEqual(reads);
    expect(await store.findings({ repair: true })).toEqual(repairedOf(expected));
    const remaining = await after(store);
    expect(await store.findings()).toEqual(remaining);
    const repaired = await store.snapshot();
    expect(await store.findings({ repair: true })).toEqual(remaining);
    expect(await store.snapshot()).toEqual(repaired);
    expect(await store.read()).toEqual(reads);
    await leaves(store);
  });

  test('is tested with every kind of finding', () => {
    const every: Record<FindingKind, true> = {
      'missing-data': true,
      'corrupt-data': true,
      'corrupt-manifest': true,
      'wrong-count': true,
      unindexed: true,
      'orphaned-data': true,
      'stale-writer': true,
    };
    expect([...new Set(DAMAGES.map(({ kind }) => kind))].sort()).toEqual(Object.keys(every).sort());
  });
});
