import type { VarveError } from '../../../core/errors.ts';
import { bytes, counted, name } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { Destination } from '../../session/destination.ts';
import { exitCodeOf } from '../../session/exit-codes.ts';
import type { Session } from '../../session/session.ts';

export const addExport: AddCommand = (program, run) => {
  const command = program
    .command('export')
    .description(
      'Print conversations as JSONL, byte for byte as they were imported: all of them, in import ' +
        'order, or those that you name.',
    )
    .argument('[id...]', 'ids of conversations; "--" before an id that begins with "-"')
    .option(
      '-o, --output <file>',
      'write to a file, which appears only once it is complete (default: standard output)',
    );
  command.action((ids: string[], { output }: { output?: string }) =>
    run(command, (session) =>
      output === undefined ? print(session, ids) : save(session, ids, output),
    ),
  );
};

async function print(session: Session, ids: readonly string[]): Promise<void> {
  const store = await session.open('read');
  const pieces = store.exportJsonl({
    ...(ids.length > 0 && { ids }),
    signal: session.signal,
    onFailure: failing(session),
  });
  for await (const piece of pieces) await session.output.write(piece);
}

/** Names each conversation that cannot be read; the first one decides the exit code. */
function failing(session: Session): (id: string, error: VarveError) => void {
  return (id, error) => {
    session.warn(`${name(id)} is left out: ${error.message}`);
    session.exitCode ||= exitCodeOf(error);
  };
}

async function save(session: Session, ids: readonly string[], output: string): Promise<void> {
  const store = await session.open('read');
  const last = ids.length > 0 ? undefined : await store.lastUsage({ signal: session.signal });
  const size = last?.usage.manifests.conversation.logicalBytes ?? 0;
  const progress = await session.progress('exporting', 'bytes');
  let counts = { conversations: 0, bytes: 0 };
  let failed = 0;
  const fail = failing(session);
  const pieces = store.exportJsonl({
    ...(ids.length > 0 && { ids }),
    signal: session.signal,
    onFailure(id, error) {
      failed++;
      fail(id, error);
    },
    onProgress(now) {
      counts = now;
      progress.update(now.bytes, size, counted(now.conversations, 'conversation'));
    },
  });
  const destination = await Destination.open(output);
  try {
    for await (const piece of pieces) await destination.write(piece);
    await destination.commit();
  } catch (error) {
    await destination.abandon();
    throw error;
  }
  progress.stop();
  const leftOut = failed === 0 ? '' : `; ${counted(failed, 'conversation')} left out`;
  await session.report({ output, ...counts, ...(failed > 0 && { failed }) }, [
    `${counted(counts.conversations, 'conversation')}, ${bytes(counts.bytes)} written to ` +
      `${output}${leftOut}`,
  ]);
}
