import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Address } from '../../src/core/address.ts';
import { isVarveError } from '../../src/core/errors.ts';
import { restoreStore } from '../../src/recovery.ts';
import { openStore, type Store } from '../../src/store.ts';

const scratch = mkdtempSync(join(tmpdir(), 'varve-refusals-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const ADDRESS = '0'.repeat(64) as Address;
const one = { id: 'a', messages: [{ role: 'user', content: 'I am a' }] };

/** What a call is given, as a program that is not type-checked gives it. */
type Options = never;

/**
 * Every public call that has options: its name, one that is misspelt, what is meant, and the call.
 */
const CALLS: readonly [
  call: string,
  misspelt: string,
  meant: string | undefined,
  make: (store: Store, options: Options) => unknown,
][] = [
  ['conversations.put', 'ifExist', 'ifExists', (s, o) => s.conversations.put(one, o)],
  ['conversations.putMany', 'ifExist', 'ifExists', (s, o) => s.conversations.putMany([one], o)],
  ['conversations.get', 'revison', 'revision', (s, o) => s.conversations.get('a', o)],
  ['conversations.getBytes', 'revison', 'revision', (s, o) => s.conversations.getBytes('a', o)],
  [
    'conversations.append',
    'idempotencykey',
    'idempotencyKey',
    (s, o) => s.conversations.append('a', [], o),
  ],
  ['conversations.delete', 'ifRevison', 'ifRevision', (s, o) => s.conversations.delete('a', o)],
  [
    'conversations.deleteMany',
    'onFailed',
    'onFailure',
    (s, o) => s.conversations.deleteMany(['a'], o),
  ],
  ['conversations.stat', 'sginal', 'signal', (s, o) => s.conversations.stat('a', o)],
  ['conversations.list', 'aplication', 'application', (s, o) => s.conversations.list(o)],
  ['conversations.holds.place', 'reson', 'reason', (s, o) => s.conversations.holds.place('a', o)],
  [
    'conversations.holds.release',
    'reason',
    undefined,
    (s, o) => s.conversations.holds.release('a', o),
  ],
  ['conversations.holds.list', 'limit', undefined, (s, o) => s.conversations.holds.list(o)],
  ['blobs.put', 'contenttype', 'contentType', (s, o) => s.blobs.put('b', [], o)],
  ['blobs.get', 'strat', 'start', (s, o) => s.blobs.get('b', o)],
  ['blobs.stat', 'sgnal', 'signal', (s, o) => s.blobs.stat('b', o)],
  ['blobs.list', 'app', 'application', (s, o) => s.blobs.list(o)],
  ['blobs.delete', 'ifRevison', 'ifRevision', (s, o) => s.blobs.delete('b', o)],
  ['segments.put', 'expiresIn', 'expiresAt', (s, o) => s.segments.put(Uint8Array.of(1), o)],
  ['segments.putTokens', 'pni', 'pin', (s, o) => s.segments.putTokens([1], o)],
  ['segments.putMany', 'ownr', 'owner', (s, o) => s.segments.putMany([Uint8Array.of(1)], o)],
  ['segments.get', 'sgnal', 'signal', (s, o) => s.segments.get(ADDRESS, o)],
  ['segments.getTokens', 'sgnal', 'signal', (s, o) => s.segments.getTokens(ADDRESS, o)],
  ['segments.getMany', 'sgnal', 'signal', (s, o) => s.segments.getMany([ADDRESS], o)],
  ['segments.has', 'sgnal', 'signal', (s, o) => s.segments.has(ADDRESS, o)],
  ['segments.release', 'sgnal', 'signal', (s, o) => s.segments.release('p', o)],
  ['segments.pins', 'ownr', 'owner', (s, o) => s.segments.pins(o)],
  ['segments.stat', 'sgnal', 'signal', (s, o) => s.segments.stat('p', o)],
  ['importJsonl', 'onerror', 'onError', (s, o) => s.importJsonl([], o)],
  ['exportJsonl', 'idz', 'ids', (s, o) => s.exportJsonl(o)],
  ['audit', 'repare', 'repair', (s, o) => s.audit(o)],
  ['health', 'sgnal', 'signal', (s, o) => s.health(o)],
  ['usage', 'sgnal', 'signal', (s, o) => s.usage(o)],
  ['usageBreakdown', 'bye', 'by', (s, o) => s.usageBreakdown(o)],
  ['backup', 'onprogress', 'onProgress', (s, o) => s.backup(join(scratch, 'backup'), o)],
  ['eraseConversations', 'dedline', 'deadline', (s, o) => s.eraseConversations(['x'], o)],
  ['gc.plan', 'gracee', 'grace', (s, o) => s.gc.plan(o)],
  ['gc.run', 'gracee', 'grace', (s, o) => s.gc.run(o)],
  ['gc.erase', 'grace', undefined, (s, o) => s.gc.erase(o)],
  ['gc.history', 'limt', 'limit', (s, o) => s.gc.history(o)],
  ['gc.schedule', 'evry', 'every', (s, o) => s.gc.schedule(o)],
  ['prune.plan', 'oldrThan', 'olderThan', (s, o) => s.prune.plan(o)],
  ['prune.run', 'keeplast', 'keepLast', (s, o) => s.prune.run(o)],
  ['openStore', 'readonly', 'readOnly', (_, o) => openStore(join(scratch, 'other'), o)],
  [
    'restoreStore',
    'sgnal',
    'signal',
    (_, o) => restoreStore(join(scratch, 'backup'), join(scratch, 'new'), o),
  ],
];

/**
 * The error of a call that fails as it is said to: a promise rejects, everything else throws at the
 * call.
 */
async function errorOf(
  make: () => unknown,
): Promise<{ error: unknown; when: 'thrown' | 'rejected' | 'never' }> {
  let made: unknown;
  try {
    made = make();
  } catch (error) {
    return { error, when: 'thrown' };
  }
  try {
    await made;
  } catch (error) {
    return { error, when: 'rejected' };
  }
  return { error: undefined, when: 'never' };
}

const SYNCHRONOUS = new Set([
  'conversations.putMany',
  'conversations.list',
  'conversations.holds.list',
  'blobs.list',
  'segments.putMany',
  'segments.getMany',
  'segments.pins',
  'exportJsonl',
  'audit',
  'gc.schedule',
  'prune.plan',
  'prune.run',
]);

describe.each([
  ['a directory', () => join(scratch, 'store')],
  ['objects', () => 'memory:'],
])('an option that nobody knows, of a store of %s', (_, location) => {
  it.each(CALLS)('is refused by %s (%s)', async (call, misspelt, meant, make) => {
    const store = await openStore(location());
    try {
      await store.conversations.put(one, { ifExists: 'skip' });
      for (const value of [1, undefined]) {
        const { error, when } = await errorOf(() => make(store, { [misspelt]: value } as Options));
        expect(when).toBe(SYNCHRONOUS.has(call) ? 'thrown' : 'rejected');
        expect(isVarveError(error, 'INVALID_ARGUMENT')).toBe(true);
        const { message } = error as Error;
        expect(message).toContain(`${call}: there is no option "${misspelt}"`);
        if (meant !== undefined) expect(message).toContain(`did you mean "${meant}"?`);
      }
      expect(await store.conversations.get('a')).toEqual(one);
    } finally {
      await store.close();
    }
  });

  it.each(CALLS)(
    'is not all: %s refuses what is not an object, and what is not a signal',
    async (call, _, __, make) => {
      const store = await openStore(location());
      try {
        for (const options of [null, 'skip', 5, [], new AbortController().signal]) {
          const { error, when } = await errorOf(() => make(store, options as Options));
          expect(when).toBe(SYNCHRONOUS.has(call) ? 'thrown' : 'rejected');
          expect((error as Error).message).toMatch(/: the options are .*, not an object: give/);
        }
        const { error } = await errorOf(() =>
          make(store, { signal: new AbortController() } as Options),
        );
        expect((error as Error).message).toContain(
          'signal is an AbortController; it must be an AbortSignal',
        );
      } finally {
        await store.close();
      }
    },
  );
});
