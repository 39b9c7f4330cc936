import { bytes, name, number, table, timestamp } from '../../messages/human.ts';
import { noConversation } from '../../messages/not-found.ts';
import type { AddCommand } from '../../session/command.ts';

export const addStat: AddCommand = (program, run) => {
  const command = program
    .command('stat')
    .description('Show what is known about a conversation.')
    .argument('<id>', 'the conversation');
  command.action((id: string) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const stat = await store.conversations.stat(id, { signal: session.signal });
      if (stat === undefined) throw noConversation(id);
      await session.report(
        stat,
        table([
          ['id', name(stat.id)],
          ['application', name(stat.application ?? '-')],
          ['model', name(stat.model ?? '-')],
          ['created', timestamp(stat.createdAt)],
          ['updated', timestamp(stat.updatedAt)],
          ['revision', `${stat.revision} (${number(stat.revisions)} can be read)`],
          ...(stat.hold === undefined
            ? []
            : [['held', `since ${timestamp(stat.hold.since)}: ${name(stat.hold.reason ?? '-')}`]]),
          ['messages', number(stat.messages)],
          ['size', `${bytes(stat.bytes)} as given`],
          [
            'segments',
            `${number(stat.segments)}, ${bytes(stat.segmentBytes)}, of which ` +
              `${bytes(stat.sharedBytes)} shared`,
          ],
          ['inline', bytes(stat.inlineBytes)],
        ]),
      );
    }),
  );
};
