import type { Revision } from '../../backends/backend.ts';
import { isVarveError, VarveError } from '../../errors.ts';
import type { Store } from '../../store.ts';
import type { AddCommand } from '../command.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
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
      const failures = new Map<string, VarveError>();
      const deleted = await remove(store, ids, ifRevision as Revision | undefined, session.signal, failures);
      const found = new Set([...deleted, ...failures.keys()]);
      const absent = ids.filter((id) => !found.has(id));
      const held = [...failures].filter(([, error]) => isVarveError(error, 'HELD')).map(([id]) => id);
      await session.report({ deleted, absent, held }, [`${counted(deleted.length, 'conversation')} deleted`]);
      const missed = force ? [] : absent;
      for (const id of missed) session.warn(noConversation(id).message);
      for (const error of failures.values()) session.warn(error.message);
      const [failure] = failures.values();
      if (failure === undefined && missed.length === 0) return;
      session.exitCode =
        deleted.length > 0 ? EXIT.partial : failure === undefined ? EXIT.notFound : exitCodeOf(failure);
    }),
  );
};

async function remove(
  store: Store,
  ids: readonly string[],
  ifRevision: Revision | undefined,
  signal: AbortSignal,
  failures: Map<string, VarveError>,
): Promise<readonly string[]> {
  if (ifRevision === undefined)
    return store.conversations.deleteMany(ids, { signal, onFailure: (id, error) => failures.set(id, error) });
  const [id = ''] = ids;
  return (await store.conversations.delete(id, { ifRevision, signal })) ? [id] : [];
}
