import { readFileSync } from 'node:fs';
import Module, { register } from 'node:module';

/**
 * Does steps with a store in a process of its own, and prints as JSON which files of zod that
 * loads.
 */

const [, , folder = '', ...steps] = process.argv;
const log = `${folder}.imports`;
register(new URL('./hooks.js', import.meta.url), { data: log });
const { openStore } = await import('../../../src/index.ts');
const store = await openStore(folder);
const { signal } = new AbortController();
const one = (id: string) => ({ id, messages: [{ role: 'user', content: `I am ${id}` }] });

const STEPS: Readonly<Record<string, () => Promise<unknown>>> = {
  bare: async () => {
    await store.conversations.put(one('a'));
    await store.conversations.put(one('b'), { signal });
    await store.conversations.put(one('c'), {});
    await store.conversations.append('c', [{ role: 'user', content: 'more' }], { signal });
    await store.conversations.get('a');
    await store.conversations.get('a', { signal });
    await store.conversations.stat('a', { signal });
    for await (const _ of store.conversations.list({ signal })) break;
    await store.blobs.put('blob', [Uint8Array.of(1)], { signal });
    await store.segments.put(Uint8Array.of(2));
    await store.gc.run({ signal });
    await store.usage();
    await store.conversations.delete('a', { signal });
    const reader = await openStore(folder, { readOnly: true, create: false, onWarning: () => {} });
    await reader.close();
  },
  options: async () => {
    await store.conversations.put(one('a'), { ifExists: 'skip' });
    for await (const _ of store.conversations.list({ limit: 1, model: 'm' })) break;
    await store.gc.run({ grace: '1h', shard: { index: 0, count: 2 } });
  },
  objects: async () => {
    const objects = await openStore('memory:');
    await objects.conversations.put(one('a'));
    await objects.close();
  },
};

for (const step of steps) await STEPS[step]?.();
await store.close();
const required = Object.keys((Module as unknown as { readonly _cache: object })._cache);
const loaded = [...readFileSync(log, 'utf8').split('\n'), ...required];
console.log(JSON.stringify(loaded.filter((path) => path.includes('/node_modules/zod/'))));
