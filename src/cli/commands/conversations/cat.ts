import { parseAddress } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { noConversation } from '../../messages/not-found.ts';
import type { AddCommand } from '../../session/command.ts';
import { count } from '../../session/option-values.ts';

interface Options {
  readonly revision?: number;
  readonly segment?: boolean;
}

export const addCat: AddCommand = (program, run) => {
  const command = program
    .command('cat')
    .description('Print the exact bytes of a conversation as it was imported, or of a segment.')
    .argument('<id>', 'the conversation, or the address of a segment')
    .option('--revision <number>', 'the state after this many writes (default: the newest)', count)
    .option('--segment', 'the argument is the address of a segment');
  command.action((id: string, { revision, segment }: Options) =>
    run(command, async (session) => {
      if (segment && revision !== undefined) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          'a segment has no revisions: leave out --revision or --segment',
        );
      }
      const store = await session.open('read');
      const options = { signal: session.signal, ...(revision !== undefined && { revision }) };
      const bytes = segment
        ? await store.segments.get(parseAddress(id), options)
        : await store.conversations.getBytes(id, options);
      if (bytes === undefined)
        throw segment
          ? new VarveError('NOT_FOUND', `there is no segment ${id}`)
          : noConversation(id);
      await session.output.write(bytes);
    }),
  );
};
