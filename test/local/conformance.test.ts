import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { describeBackend } from '../conformance/backend-conformance.ts';

describeBackend('local directory', {
  open: async () => {
    const path = await mkdtemp(join(tmpdir(), 'varve-'));
    const again = () => LocalBackend.open(path);
    const readOnly = () => LocalBackend.open(path, { readOnly: true });
    const backend = await again();
    return {
      backend,
      reopen: again,
      second: again,
      readOnly,
      dispose: () => dispose(backend, path),
    };
  },
});

async function dispose(backend: LocalBackend, path: string): Promise<void> {
  await backend.close();
  await rm(path, { recursive: true });
}
