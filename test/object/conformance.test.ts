import { describe } from 'vitest';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import type { ObjectBackendOptions } from '../../src/backends/object/object-options.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { describeBackend } from '../conformance/backend-conformance.ts';
import type { OpenedBackend } from '../conformance/fixture.ts';
import { describeModelEquivalence } from '../conformance/model-equivalence-suite.ts';
import { times } from '../thorough.ts';
import { TINY_PAGES } from './pages/page-sizes.ts';

async function open(options: ObjectBackendOptions): Promise<OpenedBackend> {
  const store = new MemoryObjectStore();
  const again = async () => new ObjectBackend(store, options);
  const readOnly = async () => new ObjectBackend(store, { ...options, readOnly: true });
  const backend = await again();
  return { backend, reopen: again, second: again, readOnly, dispose: () => backend.close() };
}

describeBackend('objects in memory', { open: () => open({}) });

describe('objects in memory, with a page for every append', () => {
  describeModelEquivalence({
    open: () => open({ pageSizes: TINY_PAGES }),
    modelRuns: times(15, 200),
    hasOwnSegments: true,
  });
});
