import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { describeBackend } from '../conformance/backend-conformance.ts';

describeBackend('objects in memory', {
  open: async () => {
    const store = new MemoryObjectStore();
    const again = async () => new ObjectBackend(store);
    const readOnly = async () => new ObjectBackend(store, { readOnly: true });
    const backend = await again();
    return { backend, reopen: again, second: again, readOnly, dispose: () => backend.close() };
  },
});
