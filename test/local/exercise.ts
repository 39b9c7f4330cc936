import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_HEADER_BYTES, BLOCK_MAGIC } from '../../src/backends/local/format/block.ts';
import { SEGMENTS } from '../../src/backends/local/format/schema.ts';
import type { ConversationListOptions } from '../../src/manifest/conversations/conversation-options.ts';
import { doctor, restoreStore, salvageStore } from '../../src/recovery.ts';
import { openStore, type Store } from '../../src/store.ts';
import { put } from '../conformance/builders.ts';

import { packFiles } from './support.ts';

/** Small blocks and packs, so that there are many of them. */
const LOCAL = { segmentBlockBytes: 2048, bodyBlockBytes: 2048, packBytes: 16_384, inlineBelow: 16 };

/** More rows than a list looks at in a window. */
const ROWS = 4500;

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

/** Does in `folder` all that a local store can do. The store itself is in `folder`/store. */
export async function exercise(folder: string): Promise<void> {
  const path = join(folder, 'store');
  const store = await openStore(path, { local: LOCAL });
  await fill(store);
  await list(store);
  await write(store);
  await keep(store, folder);
  await store.close();
  await rescue(path, folder);
}

const LINES = Buffer.from(
  Array.from(
    { length: 150 },
    (_, number) =>
      `${JSON.stringify({
        id: `c${number}`,
        model: number % 2 === 0 ? 'even' : 'odd',
        application: `app${number % 3}`,
        created_at: 1_700_000_000 + Math.floor(number / 10),
        messages: [
          { role: 'system', content: 'the same text for everybody, stored once' },
          { role: 'user', content: `a question of its own, number ${number}, of some length` },
        ],
      })}\n`,
  ).join(''),
);

async function fill(store: Store): Promise<void> {
  await store.importJsonl([LINES]);
  const rows = Array.from({ length: ROWS }, (_, number) =>
    JSON.stringify({
      id: `row${number}`,
      application: number === 5 ? 'rare' : 'common',
      created_at: number < 4200 ? 1 : number,
      messages: [],
    }),
  );
  await store.importJsonl([Buffer.from(`${rows.join('\n')}\n`)]);
  await store.segments.put(Buffer.from('bytes of an application'), { pin: 'a pin' });
  await store.segments.putTokens([1, 2, 3]);
  await store.blobs.put('a blob', [Buffer.alloc(3_000_000, 'x')]);
}

async function list(store: Store): Promise<void> {
  const orders = ['archived', 'oldest', 'newest'] as const;
  const filters: ConversationListOptions[] = [
    {},
    { application: 'common' },
    { application: 'rare' },
    { application: 'rare', model: 'even' },
    { model: 'odd', since: 2, until: 1_800_000_000_000 },
    { since: 4_300_000 },
    { held: true },
    { held: false },
    { id: 'c1*', limit: 3 },
  ];
  await store.conversations.holds.place(['c1', 'c2'], { reason: 'a case' });
  for (const order of orders)
    for (const filter of filters) await drain(store.conversations.list({ ...filter, order }));
  const blob = await store.blobs.get('a blob');
  if (blob !== undefined) await drain(blob);
  for (const kind of ['pin', 'blob'] as const) await drain(store.backend.list(kind, {}));
  await drain(store.exportJsonl());
  await store.conversations.get('c7');
  await store.conversations.stat('c7');
  await store.usage();
  await store.usageBreakdown({ by: 'application' });
  await drain(store.backend.survey());
}

async function write(store: Store): Promise<void> {
  const { conversations } = store;
  const more = [{ role: 'assistant', content: 'an answer, long enough to be a segment' }];
  await conversations.append('c3', more, { idempotencyKey: 'once' });
  await conversations.append('c3', more, { idempotencyKey: 'once' });
  await conversations.put({ id: 'c4', messages: more }, { ifExists: 'replace' });
  await conversations.put({ id: 'c4', messages: more }, { ifExists: 'replace' });
  await store.backend.commit([put('expired', [], { fields: { expiresAt: 1 } })]);
  await conversations.holds.release('c2');
  await conversations.delete('c6');
  await conversations.deleteMany(Array.from({ length: 60 }, (_, number) => `c${10 + 2 * number}`));
  await store.segments.release('a pin');
  await drain(store.prune.plan({ keepLast: 5, application: 'app1' }));
  await drain(store.prune.run({ keepLast: 10, application: 'app1' }));
}

async function keep(store: Store, folder: string): Promise<void> {
  await store.gc.plan({ grace: 0 });
  await store.gc.plan({ grace: 0, full: true });
  await store.gc.run({ grace: 0, shard: { index: 0, count: 2 } });
  await store.gc.run({ grace: 0 });
  await store.gc.run({ grace: 0, full: true });
  await drain(store.audit({ deep: true }));
  await store.eraseConversations(['c9']);
  await store.backend.health();
  await drain(store.audit({ repair: true }));
  await store.backup(join(folder, 'backup'));
  await store.conversations.put({ id: 'late', messages: [] });
  await store.backup(join(folder, 'backup'));
  await store.backend.reports.list();
  const lease = await store.backend.lease('work', 1000);
  await lease?.release();
}

/** What is done for stores that are damaged, or not open. */
async function rescue(path: string, folder: string): Promise<void> {
  await doctor(path);
  await restoreStore(join(folder, 'backup'), join(folder, 'restored'));
  await salvageStore(path, join(folder, 'salvaged'));
  cpSync(join(import.meta.dirname, 'stores', 'format-2'), join(folder, 'older'), {
    recursive: true,
  });
  await (await openStore(join(folder, 'older'))).close();
  damageSegments(path);
  const damaged = await openStore(path, { local: LOCAL });
  await drain(damaged.audit({ repair: true }));
  await damaged.importJsonl([LINES], { ifExists: 'replace' });
  await damaged.close();
}

/** Flips a byte at the end of each block of segments: what it holds is damaged. */
function damageSegments(path: string): void {
  for (const file of packFiles(path)) {
    const bytes = readFileSync(file);
    for (let at = bytes.indexOf(BLOCK_MAGIC); at >= 0; at = bytes.indexOf(BLOCK_MAGIC, at)) {
      const end =
        at + BLOCK_HEADER_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 12);
      if (bytes[at + 5] === SEGMENTS) bytes.writeUInt8(bytes.readUInt8(end - 1) ^ 1, end - 1);
      at = end;
    }
    writeFileSync(file, bytes);
  }
}
