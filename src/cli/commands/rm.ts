import type { Revision } from '../../backends/backend.ts';
import { VarveError } from '../../errors.ts';
import type { Store } from '../../store.ts';
import type { AddCommand } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { counted } from '../human.ts';
import { noConversation } from '../not-found.ts';

interface Options {
  readonly force?: boolean;
  readonly ifRevision?: string;
}

export const addRm: AddCommand = (program, run) => {
  const command = program
    .command('rm')
    .description('Delete conversations. What nothing else references is collected later, see gc.')
    .argument('<id...>', 'the conversations')
    .option('-f, --force', 'ids that do not exist are no error')
    .option('--if-revision <revision>', 'fail unless this revision is stored; goes with one id');
  command.action((given: string[], { force, ifRevision }: Options) =>
    run(command, async (session) => {
      const ids = [...new Set(given)];
      if (ifRevision !== undefined && ids.length > 1) {
        throw new VarveError('INVALID_ARGUMENT', '--if-revision goes with one id');
      }
      const store = await session.open('change');
      const deleted = await remove(store, ids, ifRevision as Revision | undefined, session.signal);
      const found = new Set(deleted);
      const absent = ids.filter((id) => !found.has(id));
      await session.report({ deleted, absent }, [`${counted(deleted.length, 'conversation')} deleted`]);
      if (absent.length === 0 || force) return;
      for (const id of absent) session.warn(noConversation(id).message);
      session.exitCode = deleted.length > 0 ? EXIT.partial : EXIT.notFound;
    }),
  );
};

async function remove(
  store: Store,
  ids: readonly string[],
  ifRevision: Revision | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (ifRevision === undefined) return store.conversations.deleteMany(ids, { signal });
  const [id = ''] = ids;
  return (await store.conversations.delete(id, { ifRevision, signal })) ? [id] : [];
}
