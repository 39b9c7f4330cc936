import fc from 'fast-check';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { MANIFEST_KINDS, type ManifestWrite } from '../../src/backends/contract/manifests.ts';
import { append, entry, hold, put, remove, segment, tokens } from '../conformance/builders.ts';

/** Everything that a reader can see of a store; what is each store's own is left out. */
export async function contents(backend: Backend): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const kind of MANIFEST_KINDS) {
    for await (const { revision: _, updatedAt: __, hold: held, ...head } of backend.list(kind)) {
      const [manifest] = await backend.read([head.key]);
      const entries = [];
      for (const { body, segments } of manifest?.entries ?? []) {
        const described = await backend.describe(segments);
        const bytes = await backend.fetch(segments);
        entries.push({
          body: Buffer.from(body).toString('latin1'),
          segments: bytes.map((each, at) => [
            described[at]?.encoding,
            Buffer.from(each).toString('latin1'),
          ]),
        });
      }
      all.push({ ...head, held: held && { reason: held.reason }, entries });
    }
  }
  return all;
}

export function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

const KEYS = MANIFEST_KINDS.flatMap((kind) => ['a', 'b', 'c'].map((id) => ({ kind, id }) as const));

/** Writes of all kinds to a few manifests. */
export const WRITE = fc
  .record({
    what: fc.constantFrom('put', 'put', 'append', 'remove', 'hold', 'release', 'large'),
    key: fc.constantFrom(...KEYS),
    texts: fc.array(fc.constantFrom('one', 'two', 'three'), { maxLength: 3 }),
    isToken: fc.boolean(),
  })
  .map(({ what, key, texts, isToken }): ManifestWrite => {
    const parts = isToken ? [tokens([1, 2, texts.length])] : texts.map((text) => segment(text));
    const fields = {
      application: texts[0] ?? 'none',
      logicalBytes: what === 'large' ? 2_000_000 : texts.length,
    };
    if (what === 'put' || what === 'large') {
      return put(key, [entry(texts.join(), ...parts), entry('')], { ifExists: 'replace', fields });
    }
    if (what === 'append') return append(key, [entry('more', ...parts)]);
    if (what === 'remove') return remove(key);
    return hold(key, what === 'hold', texts[0]);
  });
