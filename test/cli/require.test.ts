import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';

const BUILT = resolve(import.meta.dirname, '../../dist/index.js');

// Node loads an ES module by require() only if nothing that it imports awaits at its top level.
it('lets CommonJS require the library, which is one and the same however it is loaded', () => {
  const program = `
    const { openStore, VarveError } = require(${JSON.stringify(BUILT)});
    (async () => {
      const store = await openStore('memory:');
      await store.conversations.put({ id: 'c1', messages: [] });
      const refused = await store.conversations.put({ id: 'c1' }).catch((error) => error);
      await store.close();
      const imported = await import(${JSON.stringify(BUILT)});
      const isOne = imported.VarveError === VarveError;
      console.log(refused instanceof VarveError && refused.code, isOne);
    })();`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=commonjs', '--eval', program],
    { encoding: 'utf8' },
  );
  expect({ stdout, stderr }).toEqual({ stdout: 'ALREADY_EXISTS true\n', stderr: '' });
});
