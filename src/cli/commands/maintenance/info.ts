import type { Health } from '../../../backends/contract/backend.ts';
import { isVarveError } from '../../../core/errors.ts';
import { bytes, number, table } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import type { Session } from '../../session/session.ts';

export const addInfo: AddCommand = (program, run) => {
  const command = program
    .command('info')
    .description('Show where the store is, what it can do and how large it is.')
    .option(
      '--health',
      'only check whether the store can be used: exit code 0, or 7 when it cannot',
    );
  command.action(({ health }: { readonly health?: boolean }) =>
    run(command, async (session) => {
      if (health) return printHealth(session);
      const store = await session.open('read');
      const counted = await store.lastUsage({ signal: session.signal });
      const { manifests, storedBytes } = counted?.usage ?? {};
      const { multiMachine, inlineBelow } = store.backend.capabilities;
      const info = {
        location: store.location,
        format: store.backend.format,
        countedAt: counted && new Date(counted.countedAt).toISOString(),
        conversations: manifests?.conversation.count,
        blobs: manifests?.blob.count,
        pins: manifests?.pin.count,
        storedBytes,
        multiMachine,
        inlineBelow,
      };
      await session.report(
        info,
        table([
          ['location', info.location],
          ['format', String(info.format)],
          // Those of a directory are of now.
          ...totals(info, store.backend.recount !== undefined),
          ['shared by', multiMachine ? 'processes on many machines' : 'processes on this machine'],
          ['inline below', bytes(inlineBelow)],
        ]),
      );
    }),
  );
};

interface Totals {
  readonly countedAt?: string | undefined;
  readonly conversations?: number | undefined;
  readonly blobs?: number | undefined;
  readonly pins?: number | undefined;
  readonly storedBytes?: number | undefined;
}

/** Rows of what was counted last. */
function totals(info: Totals, isDated: boolean): string[][] {
  const { countedAt, conversations = 0, blobs = 0, pins = 0, storedBytes = 0 } = info;
  if (countedAt === undefined)
    return [['totals', 'not counted yet: du counts now; gc --full and audit leave their count']];
  return [
    ['conversations', number(conversations)],
    ['blobs', number(blobs)],
    ['pins', number(pins)],
    ['stored', bytes(storedBytes)],
    ...(isDated ? [['counted', countedAt]] : []),
  ];
}

async function printHealth(session: Session): Promise<void> {
  const { healthy, latencyMs, error } = await healthOf(session);
  const shown = error && { code: error.code, message: error.message, retryable: error.retryable };
  const line = healthy
    ? `healthy, answered in ${Math.round(latencyMs)} ms`
    : `not healthy: ${error?.message}`;
  await session.report({ healthy, latencyMs, ...(shown && { error: shown }) }, [line]);
  if (!healthy) session.exitCode = EXIT.unavailable;
}

/** A store that cannot be opened is unhealthy; an invalid location is a mistake in the call. */
async function healthOf(session: Session): Promise<Health> {
  const began = performance.now();
  try {
    return await (await session.open('read')).health();
  } catch (error) {
    if (!isVarveError(error) || error.code === 'INVALID_ARGUMENT' || error.code === 'ABORTED')
      throw error;
    return { healthy: false, latencyMs: performance.now() - began, error };
  }
}
