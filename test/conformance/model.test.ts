import { describeBackend } from './backend-conformance.ts';
import { ModelBackend } from './model-backend.ts';
import { ModelStore } from './model-store.ts';

describeBackend('the model', {
  open: async () => {
    const store = new ModelStore();
    const open = async () => new ModelBackend(store);
    const readOnly = async () => new ModelBackend(store, { writable: false });
    return { backend: await open(), reopen: open, second: open, readOnly, dispose: async () => {} };
  },
});
