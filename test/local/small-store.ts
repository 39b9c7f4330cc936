import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { commit, entry, put, segment } from '../conformance/builders.ts';
import { packFiles, scratchFolder } from './support.ts';

/** A store small enough to know every block of, and the means to damage it. */

export const TEXT = { a: 'segment of a', b: 'segment of b' };
export const ADDRESS = { a: segment(TEXT.a).address, b: segment(TEXT.b).address };
export const KEY = {
  a: { kind: 'conversation', id: 'a' },
  b: { kind: 'conversation', id: 'b' },
} as const;

/** Two conversations of a segment each, in blocks of their own, each with a record of the log:
 * records 0 and 1 of either space, blocks 1 to 6. */
export async function smallStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await LocalBackend.open(path);
  for (const id of ['a', 'b'] as const)
    await commit(backend, put(id, [entry(`body of ${id}`, TEXT[id])]));
  await backend.close();
  return path;
}

export function alter(path: string, sql: string, ...parameters: unknown[]): void {
  const index = openSqlite(join(path, 'varve.db'));
  try {
    index.prepare(sql).run(...parameters);
  } finally {
    index.close();
  }
}

interface Block {
  readonly start: number;
  readonly length: number;
}

export function blockOf(path: string, id: number): Block {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  try {
    return index.prepare('SELECT start, length FROM block WHERE id = ?').get(id) as Block;
  } finally {
    index.close();
  }
}

export function rewriteBytes(path: string, change: (pack: Buffer) => void): void {
  const [pack = ''] = packFiles(path);
  const bytes = readFileSync(pack);
  change(bytes);
  writeFileSync(pack, bytes);
}

export const packPath = (path: string) => join(path, 'packs', '00000001.pack');
export const SEGMENT_BLOCK_OF_B = 4;
export const BODY_BLOCK_OF_B = 5;
export const LOG_BLOCK_OF_B = 6;
