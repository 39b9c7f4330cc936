import type { Backend } from '../../backends/contract/backend.ts';
import type { StoredEntry, WriteOutcome } from '../../backends/contract/manifests.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { VarveError } from '../../core/errors.ts';
import { inTurns, joining } from '../../core/steps.ts';
import { entryHead, LINE_FEED, type Skeleton } from '../content/body.ts';
import type { Reference } from '../content/reference.ts';
import { pauseAfter, WRITE_ATTEMPTS } from './contention.ts';
import type { AppendOptions } from './conversation-options.ts';
import { conversationKey } from './conversation-reader.ts';
import { extensionEntry } from './conversation-writer.ts';

const COMMA = Buffer.from(',');

/** Messages to append. */
export interface Extension {
  readonly added: Skeleton<Reference>;
  /** Length of their text. */
  readonly bytes: number;
}

/**
 * Appends messages to a conversation, reading its newest entry only. Without `ifRevision` it tries
 * again when another write comes first.
 */
export async function appendMessages(
  backend: Backend,
  id: string,
  { added, bytes }: Extension,
  { ifRevision, idempotencyKey }: Omit<AppendOptions, 'signal'>,
  abort: AbortOptions,
): Promise<WriteOutcome> {
  const key = conversationKey(id);
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(abort.signal);
    const [manifest] = await backend.read([key], { ...abort, entries: 'newest' });
    if (manifest === undefined)
      throw new VarveError('NOT_FOUND', `there is no conversation ${JSON.stringify(id)}`);
    const state = entryHead((manifest.entries.at(-1) as StoredEntry).body);
    if (!state.hasMessages) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `conversation ${JSON.stringify(id)} has no array of messages to append to`,
      );
    }
    const { revision } = manifest;
    if (ifRevision !== undefined && revision !== ifRevision && idempotencyKey === undefined) {
      throw new VarveError(
        'CONFLICT',
        `conversation ${JSON.stringify(id)} is no longer at revision ${ifRevision}`,
      );
    }
    if (added.text.length === 0)
      return { status: 'unchanged', revision, newSegments: 0, newBytes: 0 };
    const text = state.nonEmpty ? await inTurns(joining([COMMA, added.text])) : added.text;
    const separated = { ...added, text };
    const entry = await inTurns(extensionEntry(separated, undefined, LINE_FEED, true));
    const [outcome] = await backend.commit(
      [
        {
          operation: 'append',
          key,
          // The separator depends on what was read, so the write is valid only for that revision.
          ifRevision: ifRevision ?? revision,
          ...(idempotencyKey !== undefined && { idempotencyKey }),
          logicalBytes: bytes + (state.nonEmpty ? 1 : 0),
          entries: [entry],
        },
      ],
      abort,
    );
    const lost = outcome?.status === 'failed' && outcome.error.code === 'CONFLICT';
    if (!lost || ifRevision !== undefined || attempt === WRITE_ATTEMPTS)
      return outcome as WriteOutcome;
    await pauseAfter(attempt, abort);
  }
}
