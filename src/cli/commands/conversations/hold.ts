import { Option } from 'commander';
import { VarveError } from '../../../core/errors.ts';
import { counted, name, table, timestamp } from '../../messages/human.ts';
import { noConversation } from '../../messages/not-found.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import type { Session } from '../../session/session.ts';

interface Options {
  readonly reason?: string;
  readonly release?: boolean;
  readonly list?: boolean;
}

export const addHold: AddCommand = (program, run) => {
  const command = program
    .command('hold')
    .description(
      'Keep conversations from being deleted, replaced, pruned or expired, until they are ' +
        'released.',
    )
    .argument('[id...]', 'the conversations')
    .option(
      '--reason <text>',
      'why, shown to whoever the hold stops, at most 1,024 bytes (default: none)',
    )
    .addOption(
      new Option('--release', 'release the conversations instead').conflicts(['reason', 'list']),
    )
    .addOption(new Option('--list', 'list the held conversations instead').conflicts('reason'));
  command.action((given: string[], { reason, release, list = false }: Options) =>
    run(command, async (session) => {
      if (list === given.length > 0) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          list ? '--list takes no ids' : 'name conversations, or give --list',
        );
      }
      return list
        ? listHolds(session)
        : setHolds(session, [...new Set(given)], release ?? false, reason);
    }),
  );
};

async function listHolds(session: Session): Promise<void> {
  const store = await session.open('read');
  for await (const head of store.conversations.holds.list({ signal: session.signal })) {
    if (session.json) {
      await session.output.line(JSON.stringify(head));
      continue;
    }
    const { id, hold } = head;
    const [line = ''] = table([[timestamp(hold.since), name(id), name(hold.reason ?? '-')]]);
    await session.output.line(line);
  }
}

async function setHolds(
  session: Session,
  ids: readonly string[],
  release: boolean,
  reason: string | undefined,
): Promise<void> {
  const store = await session.open('change');
  const { holds } = store.conversations;
  const { signal } = session;
  const receipts = await (release
    ? holds.release(ids, { signal })
    : holds.place(ids, { ...(reason !== undefined && { reason }), signal }));
  const of = (status: string) =>
    receipts.filter((receipt) => receipt.status === status).map(({ id }) => id);
  const [changed, unchanged, absent] = [
    of(release ? 'released' : 'held'),
    of('unchanged'),
    of('absent'),
  ];
  const again =
    unchanged.length === 0 ? '' : `, ${unchanged.length} ${release ? 'not held' : 'held'} before`;
  await session.report({ [release ? 'released' : 'held']: changed, unchanged, absent }, [
    `${counted(changed.length, 'conversation')} ${release ? 'released' : 'held'}${again}`,
  ]);
  for (const id of absent) session.warn(noConversation(id).message);
  if (absent.length > 0)
    session.exitCode = absent.length < ids.length ? EXIT.partial : EXIT.notFound;
}
