import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AuditOptions, Finding } from '../../backends/contract/audit.ts';
import type { Backend } from '../../backends/contract/backend.ts';
import {
  MANIFEST_KINDS,
  type ManifestHead,
  type ManifestKey,
  type ManifestKind,
} from '../../backends/contract/manifests.ts';
import { abortOf, throwIfAborted } from '../../core/abort.ts';
import { type AheadBounds, mapAhead } from '../../core/concurrency.ts';
import { VarveError } from '../../core/errors.ts';
import type { Blobs } from '../../manifest/blobs/blobs.ts';
import type { Conversations } from '../../manifest/conversations/conversations.ts';
import { listReadable } from '../list-readable.ts';

/** How many manifests, of how many bytes, are rebuilt at once. */
const AHEAD: AheadBounds<ManifestHead> = {
  count: 32,
  bytes: 16 * 1024 * 1024,
  bytesOf: ({ logicalBytes }) => logicalBytes,
};

/** Errors about the content rather than the moment. */
const DAMAGE = new Set(['CORRUPT', 'UNSUPPORTED_FORMAT', 'MALFORMED_INPUT', 'INTERNAL']);

/** What can be read through the layers above a backend. */
export interface Readers {
  readonly backend: Backend;
  readonly conversations: Conversations;
  readonly blobs: Blobs;
}

/**
 * Reads everything as its owner would: rebuilds every conversation and blob and verifies their
 * digests, fetches what pins hold. Finds content that passes every checksum but does not decode.
 *
 * @param known whether a manifest has been reported already.
 * @returns how many manifests were read.
 */
export async function* auditContent(
  readers: Readers,
  known: (key: ManifestKey) => boolean,
  { signal, onProgress }: AuditOptions,
): AsyncGenerator<Finding, number, undefined> {
  let done = 0;
  for (const kind of MANIFEST_KINDS) {
    const heads = listReadable(readers.backend, kind, abortOf(signal));
    const read = async ({ key }: ManifestHead) => {
      throwIfAborted(signal);
      return { key, reason: known(key) ? undefined : await faultOf(readers, key) };
    };
    for await (const { key, reason } of mapAhead(heads, AHEAD, read)) {
      if (reason !== undefined) yield finding(key, reason);
      done++;
      onProgress?.({ phase: 'content', done, total: 0 });
      if (done % 64 === 0) await nextTurn();
    }
  }
  return done;
}

/**
 * Why the content of a manifest cannot be read, `undefined` when it can, or when it is gone
 * meanwhile.
 */
async function faultOf(readers: Readers, key: ManifestKey): Promise<string | undefined> {
  try {
    await READ[key.kind](readers, key);
    return undefined;
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    if (DAMAGE.has(error.code)) return error.message;
    if (error.code === 'NOT_FOUND' || error.code === 'CONFLICT') return undefined;
    throw error;
  }
}

const READ: Readonly<
  Record<ManifestKind, (readers: Readers, key: ManifestKey) => Promise<unknown>>
> = {
  conversation: ({ conversations }, { id }) => conversations.getBytes(id),
  blob: async ({ blobs }, { id }) => {
    const content = await blobs.get(id);
    if (content !== undefined) for await (const piece of content) void piece;
  },
  pin: async ({ backend }, key) => {
    const [manifest] = await backend.read([key]);
    await backend.fetch(manifest?.entries.flatMap(({ segments }) => segments) ?? []);
  },
};

function finding(key: ManifestKey, reason: string): Finding {
  return {
    kind: 'corrupt-manifest',
    message: `${key.kind} ${JSON.stringify(key.id)} cannot be rebuilt: ${reason}`,
    manifests: [key],
    repair: 'none',
    repaired: false,
    harmful: true,
  };
}
