import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Finding } from '../../src/backends/contract/audit.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { LocalOptions } from '../../src/backends/local/local-options.ts';
import type { LocalComponents } from '../../src/backends/local/opening.ts';
import { type ErrorCode, VarveError } from '../../src/core/errors.ts';
import { auditOf } from '../conformance/builders.ts';

/** A folder that lasts as long as the test. */
export function scratchFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'varve-local-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Opens a store that is closed when the test ends. */
export async function openStore(
  path: string,
  options: LocalOptions = {},
  components: LocalComponents = {},
): Promise<LocalBackend> {
  const backend = await LocalBackend.open(path, options, components);
  onTestFinished(() => backend.close());
  return backend;
}

/** The findings of an audit of a store by a process that has just opened it. */
export async function auditAfresh(path: string, { repair = false } = {}): Promise<Finding[]> {
  const backend = await LocalBackend.open(path);
  try {
    const findings: Finding[] = [];
    for await (const finding of backend.audit({ repair })) findings.push(finding);
    return findings;
  } finally {
    await backend.close();
  }
}

/**
 * Fails with the findings themselves when there are any. Uploads that a kill has cut off are to be
 * expected.
 */
export async function expectSound(path: string): Promise<void> {
  expect((await auditAfresh(path)).filter(isUnexpected)).toEqual([]);
}

export async function expectSoundNow(backend: LocalBackend): Promise<void> {
  expect((await auditOf(backend)).findings.filter(isUnexpected)).toEqual([]);
}

function isUnexpected({ kind }: Finding): boolean {
  return kind !== 'stale-writer';
}

/** Waits for a rejection and returns its error, which must be of Varve and have `code`. */
export async function rejection(work: Promise<unknown>, code: ErrorCode): Promise<VarveError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof VarveError))
    throw new Error(`no VarveError but ${String(error)}`, { cause: error });
  expect({ code: error.code, message: error.message }).toMatchObject({ code });
  return error;
}

/** The pack files of a store, with their folder. */
export function packFiles(path: string): string[] {
  const folder = join(path, 'packs');
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}
