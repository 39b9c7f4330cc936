import { bytes, counted } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { Destination } from '../../session/destination.ts';
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
  const pieces = store.exportJsonl({ ...(ids.length > 0 && { ids }), signal: session.signal });
  for await (const piece of pieces) await session.output.write(piece);
}

async function save(session: Session, ids: readonly string[], output: string): Promise<void> {
  const store = await session.open('read');
  const last = ids.length > 0 ? undefined : await store.lastUsage({ signal: session.signal });
  const size = last?.usage.manifests.conversation.logicalBytes ?? 0;
  const progress = await session.progress('exporting', 'bytes');
  let counts = { conversations: 0, bytes: 0 };
  const pieces = store.exportJsonl({
    ...(ids.length > 0 && { ids }),
    signal: session.signal,
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
  await session.report({ output, ...counts }, [
    `${counted(counts.conversations, 'conversation')}, ${bytes(counts.bytes)} written to ${output}`,
  ]);
}
