import type { AddCommand } from '../command.ts';
import { noConversation } from '../not-found.ts';
import { count } from '../option-values.ts';

export const addGet: AddCommand = (program, run) => {
  const command = program
    .command('get')
    .description('Print a conversation as JSON, indented; on one line with --json.')
    .argument('<id>', 'the conversation')
    .option('--revision <number>', 'its state after so many writes', count);
  command.action((id: string, { revision }: { revision?: number }) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const conversation = await store.conversations.get(id, {
        ...(revision !== undefined && { revision }),
        signal: session.signal,
      });
      if (conversation === undefined) throw noConversation(id);
      await session.output.line(JSON.stringify(conversation, plainArrays, session.json ? undefined : 2));
    }),
  );
};

/** Token ids that were put as typed arrays are printed as JSON arrays. */
function plainArrays(_key: string, value: unknown): unknown {
  return value instanceof Uint32Array ? [...value] : value;
}
