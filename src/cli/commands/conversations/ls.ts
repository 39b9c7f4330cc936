import { Option } from 'commander';
import { batchesOf } from '../../../core/batches.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ConversationHead } from '../../../manifest/conversations/conversations.ts';
import { bytes, name, table, timestamp } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { count, DURATION_HELP, time } from '../../session/option-values.ts';

interface Options {
  readonly application?: string;
  readonly model?: string;
  readonly since?: number;
  readonly until?: number;
  readonly limit?: number;
  readonly newest?: boolean;
  readonly oldest?: boolean;
  readonly long?: boolean;
}

/** Lines per aligned group, so that a long list starts at once. */
const PAGE = 200;

export const addLs: AddCommand = (program, run) => {
  const command = program
    .command('ls')
    .description('List conversations, in the order in which they were stored.')
    .argument('[glob]', 'only ids that match: * ? [abc] {a,b}')
    .option('--application <name>', 'only those of this application')
    .option('--model <name>', 'only those of this model')
    .option(
      '--since <time>',
      'only those created since then: a date, a time, or an age such as 7d or 3mo',
      time,
    )
    .option('--until <time>', 'only those created before then, written as for --since', time)
    .option('--limit <number>', 'at most this many (default: all)', count)
    .option('-l, --long', 'show size, creation time, model and application too')
    .option('--newest', 'newest first (default: in the order in which they were stored)')
    .addOption(new Option('--oldest', 'oldest first').conflicts('newest'))
    .addHelpText('after', DURATION_HELP);
  command.action((glob: string | undefined, { newest, oldest, long, ...filter }: Options) =>
    run(command, async (session) => {
      if (
        filter.since !== undefined &&
        filter.until !== undefined &&
        filter.since >= filter.until
      ) {
        throw new VarveError('INVALID_ARGUMENT', '--since must be before --until');
      }
      const store = await session.open('read');
      const heads = store.conversations.list({
        ...filter,
        ...(glob !== undefined && { id: glob }),
        order: newest ? 'newest' : oldest ? 'oldest' : 'archived',
        signal: session.signal,
      });
      if (session.json || !long) {
        for await (const head of heads)
          await session.output.line(session.json ? JSON.stringify(head) : name(head.id));
        return;
      }
      for await (const page of batchesOf(heads, { count: PAGE }))
        for (const line of table(page.map(longRow), [0])) await session.output.line(line);
    }),
  );
};

function longRow({ bytes: size, createdAt, model, application, id }: ConversationHead): string[] {
  return [
    bytes(size),
    timestamp(createdAt),
    name(application ?? '-'),
    name(model ?? '-'),
    name(id),
  ];
}
