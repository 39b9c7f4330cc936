import { indentJson } from '../../messages/indent-json.ts';
import { noConversation } from '../../messages/not-found.ts';
import type { AddCommand } from '../../session/command.ts';
import { count } from '../../session/option-values.ts';

export const addGet: AddCommand = (program, run) => {
  const command = program
    .command('get')
    .description(
      'Print a conversation as JSON, indented; on one line, as it was stored, with --json.',
    )
    .argument('<id>', 'the conversation')
    .option('--revision <number>', 'its state after this many writes (default: the newest)', count);
  command.action((id: string, { revision }: { revision?: number }) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const line = await store.conversations.getBytes(id, {
        ...(revision !== undefined && { revision }),
        signal: session.signal,
      });
      if (line === undefined) throw noConversation(id);
      const text = line.toString('utf8').trim();
      await session.output.line(session.json ? text : indentJson(text));
    }),
  );
};
