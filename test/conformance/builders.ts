import { expect } from 'vitest';
import type { AuditOptions, AuditReport, Finding } from '../../src/backends/contract/audit.ts';
import type { Backend } from '../../src/backends/contract/backend.ts';
import type {
  AppendWrite,
  DeleteWrite,
  HoldWrite,
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestWrite,
  NewEntry,
  NewSegment,
  PutWrite,
  SegmentDescription,
  StoredManifest,
  WriteOutcome,
  WriteSuccess,
} from '../../src/backends/contract/manifests.ts';
import { type Address, addressOf } from '../../src/core/address.ts';
import type { ErrorCode } from '../../src/core/errors.ts';

/** Words to build writes with and to read back what a backend holds. */

export function conversation(id: string): ManifestKey {
  return { kind: 'conversation', id };
}

export function segment(content: string | Uint8Array): NewSegment {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { address: addressOf(bytes), encoding: 'bytes', bytes: () => bytes };
}

export function tokens(ids: readonly number[]): NewSegment {
  const bytes = Buffer.alloc(ids.length * 4);
  ids.forEach((id, i) => {
    bytes.writeUInt32LE(id, i * 4);
  });
  return { address: addressOf(bytes), encoding: 'tokens', bytes: () => bytes };
}

/** The segment as a writer names it that has no bytes of it. */
export function withoutBytes(known: NewSegment): NewSegment {
  return { ...known, bytes: null };
}

/** An entry whose body is `body` and whose segments hold the given contents. */
export function entry(body: string | Uint8Array, ...segments: (string | NewSegment)[]): NewEntry {
  return {
    body: typeof body === 'string' ? Buffer.from(body) : body,
    segments: segments.map((each) => (typeof each === 'string' ? segment(each) : each)),
  };
}

export function put(
  key: ManifestKey | string,
  entries: readonly NewEntry[],
  options: Partial<Pick<PutWrite, 'ifExists' | 'ifRevision'>> & {
    fields?: Partial<ManifestFields>;
  } = {},
): PutWrite {
  const { fields, ...rest } = options;
  return {
    operation: 'put',
    key: typeof key === 'string' ? conversation(key) : key,
    ifExists: 'error',
    ...rest,
    fields: { logicalBytes: 100, ...fields },
    entries,
  };
}

export function append(
  key: ManifestKey | string,
  entries: readonly NewEntry[],
  options: Partial<Omit<AppendWrite, 'operation' | 'key' | 'entries'>> = {},
): AppendWrite {
  return {
    operation: 'append',
    key: typeof key === 'string' ? conversation(key) : key,
    logicalBytes: 10,
    ...options,
    entries,
  };
}

export function remove(
  key: ManifestKey | string,
  options: Pick<DeleteWrite, 'ifRevision'> = {},
): DeleteWrite {
  return {
    operation: 'delete',
    key: typeof key === 'string' ? conversation(key) : key,
    ...options,
  };
}

export function hold(key: ManifestKey | string, held = true, reason?: string): HoldWrite {
  return {
    operation: 'hold',
    key: typeof key === 'string' ? conversation(key) : key,
    held,
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Makes one write that must succeed. */
export async function commit(backend: Backend, write: ManifestWrite): Promise<WriteSuccess> {
  const outcomes = await backend.commit([write]);
  expect(outcomes).toHaveLength(1);
  return succeeded(outcomes[0]);
}

/** Makes one write that must fail, with `code`. */
export async function commitFails(
  backend: Backend,
  write: ManifestWrite,
  code: ErrorCode,
): Promise<void> {
  const outcomes = await backend.commit([write]);
  expect(outcomes).toHaveLength(1);
  expectFailed(outcomes[0], code);
}

export function succeeded(outcome: WriteOutcome | undefined): WriteSuccess {
  if (outcome === undefined) throw new Error('no outcome');
  if (outcome.status === 'failed') throw outcome.error;
  return outcome;
}

export function expectFailed(outcome: WriteOutcome | undefined, code: ErrorCode): void {
  expect(outcome).toMatchObject({ status: 'failed', error: { name: 'VarveError', code } });
}

export function codeOf(outcome: WriteOutcome): string {
  return outcome.status === 'failed' ? outcome.error.code : outcome.status;
}

export async function readOne(
  backend: Backend,
  key: ManifestKey | string,
): Promise<StoredManifest | undefined> {
  const [manifest] = await backend.read([typeof key === 'string' ? conversation(key) : key]);
  return manifest;
}

export async function headOf(
  backend: Backend,
  key: ManifestKey | string,
): Promise<ManifestHead | undefined> {
  const [head] = await backend.heads([typeof key === 'string' ? conversation(key) : key]);
  return head;
}

/**
 * The entries of a manifest, bodies and segments as Latin-1 text (so that every byte shows), or
 * `undefined`.
 */
export async function contentOf(
  backend: Backend,
  key: ManifestKey | string,
): Promise<{ body: string; segments: string[] }[] | undefined> {
  const manifest = await readOne(backend, key);
  if (!manifest) return undefined;
  const bytes = await backend.fetch(manifest.entries.flatMap(({ segments }) => segments));
  const texts = bytes.map((each) => Buffer.from(each).toString('latin1'));
  return manifest.entries.map(({ body, segments }) => ({
    body: Buffer.from(body).toString('latin1'),
    segments: texts.splice(0, segments.length),
  }));
}

/** What is known of a segment by its content, or `undefined` when it is not stored. */
export async function describeSegment(
  backend: Backend,
  content: string | NewSegment,
): Promise<SegmentDescription | undefined> {
  const { address } = typeof content === 'string' ? segment(content) : content;
  const [locator] = await backend.find([address]);
  return locator === undefined ? undefined : (await backend.describe([locator]))[0];
}

/** How many entries reference a segment; 0 also when it is not stored. */
export async function referencesTo(
  backend: Backend,
  content: string | NewSegment,
): Promise<number> {
  return (await describeSegment(backend, content))?.references ?? 0;
}

export async function idsOf(heads: AsyncIterable<ManifestHead>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { key } of heads) ids.push(key.id);
  return ids;
}

export async function auditOf(
  backend: Backend,
  options?: AuditOptions,
): Promise<{ findings: Finding[]; report: AuditReport }> {
  const audit = backend.audit(options);
  const findings: Finding[] = [];
  for (;;) {
    const step = await audit.next();
    if (step.done) return { findings, report: step.value };
    findings.push(step.value);
  }
}

export async function* stream(entries: Iterable<NewEntry>): AsyncGenerator<NewEntry> {
  yield* entries;
}

export function unknownAddress(): Address {
  return 'f'.repeat(64) as Address;
}
