import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { keysBelow, write } from '../../object/damage/stored-objects.ts';
import { patch } from '../mutants/mutant.ts';
import { A, B } from './script.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';
import { assertReadable, putOf } from './stored-segments.ts';

/** Lost and damaged objects: what repair restores, and what it leaves alone. */
export const DAMAGE_SCENARIOS: readonly ScriptedScenario[] = [
  {
    rule: 'scan-before-deleting-strays',
    name: 'data without a sidecar stays while a manifest needs it',
    run: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await new ObjectBackend(store).commit([putOf(A)]);
      const keys = await keysBelow(store, 'segments/');
      await store.delete(keys.filter((key) => key.endsWith('.meta')));
      const backend = new ObjectBackend(store);
      await backend.collect({ graceMs: 0, full: true });
      for await (const _ of backend.audit({ repair: true }));
      await backend.collect({ graceMs: 0, full: true });
      await assertReadable(backend, A);
    },
    mutants: [
      {
        name: 'deletes data without a sidecar',
        patches: [patch('audit-sidecar.ts', 'if (held.length === 0) {', 'if (true) {')],
      },
    ],
  },
  {
    rule: 'heal-on-put',
    name: 'a put of the same bytes heals damaged data',
    run: async ({ ObjectBackend }) => {
      const store = new MemoryObjectStore();
      await new ObjectBackend(store).commit([putOf(A)]);
      for (const key of await keysBelow(store, 'segments/'))
        if (!key.endsWith('.meta')) await write(store, key, 'damage');
      for await (const _ of new ObjectBackend(store).audit({ repair: true }));
      await new ObjectBackend(store).commit([putOf(B)]);
      await assertReadable(new ObjectBackend(store), A);
    },
    mutants: [
      {
        name: 'does not heal',
        patches: [
          patch(
            'segment-taker.ts',
            '    if (sidecar.damaged) {',
            '    if (sidecar.refs.length < 0) {',
          ),
        ],
      },
    ],
  },
];
