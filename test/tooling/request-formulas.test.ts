import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, type Store } from 'varve';
import { afterAll, expect, test } from 'vitest';
import { FORMULAS } from '../../bench/support/request-formulas.mjs';

/** Enough that what does not depend on the size is a small share. */
const CONVERSATIONS = 160;
const PROMPTS = 20;

/** Two segments of its own, one that others share. */
const ARCHIVE = {
  conversations: CONVERSATIONS,
  segments: 2 * CONVERSATIONS + PROMPTS,
};

/** Share by which what is counted may differ from the formula. */
const TOLERANCE = 0.1;

/** Requests that do not depend on the size: a listing has parts, a run leaves a report. */
const SLACK = { get: 4, head: 4, put: 4, list: 64 };

const LOCATION = 'memory:request-formulas';
const folder = await mkdtemp(join(tmpdir(), 'varve-formulas-'));
afterAll(() => rm(folder, { recursive: true }));

const prompts = Array.from({ length: PROMPTS }, () => randomBytes(4500).toString('base64'));
const lines = Array.from({ length: CONVERSATIONS }, (_, at) => {
  const own = [0, 1].map(() => ({ role: 'user', content: randomBytes(4500).toString('base64') }));
  const prompt = { role: 'system', content: prompts[at % PROMPTS] };
  return Buffer.from(`${JSON.stringify({ id: `c${at}`, messages: [prompt, ...own] })}\n`);
});

const small = { id: 'small', messages: [{ role: 'user', content: 'Hi' }] };
const WRITE = {};
const READ = { readOnly: true };

/** In this order, since the first makes the store. */
const VERBS: [verb: string, options: object, work: (store: Store) => Promise<unknown>][] = [
  ['import of all', WRITE, (store) => store.importJsonl(lines)],
  ['gc, idle', WRITE, (store) => store.gc.run()],
  ['put, inline', WRITE, (store) => store.conversations.put(small)],
  ['append, inline', WRITE, (store) => store.conversations.append('small', small.messages)],
  ['rm, inline', WRITE, (store) => store.conversations.delete('small')],
  ['ls --limit 10', READ, (store) => drain(store.conversations.list({ limit: 10 }))],
  ['ls', READ, (store) => drain(store.conversations.list())],
  ['export', READ, (store) => drain(store.exportJsonl())],
  ['du', READ, (store) => store.usage()],
  ['audit, all data', READ, (store) => drain(store.audit())],
  ['gc --full, without garbage', WRITE, (store) => store.gc.run({ grace: 0, full: true })],
  ['backup', READ, (store) => store.backup(join(folder, 'copy'))],
  ['backup, unchanged', READ, (store) => store.backup(join(folder, 'copy'))],
];

test('the formulas of the price table are what verbs ask for', async () => {
  const wrong: unknown[] = [];
  for (const [verb, options, work] of VERBS) {
    const store = await openStore(LOCATION, options);
    await work(store);
    await store.close();
    const { requests } = store.metrics() ?? {};
    const expected = FORMULAS[verb]?.(ARCHIVE) ?? {};
    for (const one of ['get', 'head', 'put', 'list'] as const) {
      const counted = requests?.[one] ?? 0;
      const calculated = expected[one] ?? 0;
      if (Math.abs(counted - calculated) > Math.max(SLACK[one], TOLERANCE * counted))
        wrong.push({ verb, one, counted, calculated });
    }
  }
  expect(wrong).toEqual([]);
  expect(VERBS.map(([verb]) => verb).sort()).toEqual(Object.keys(FORMULAS).sort());
});

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}
