import type { Revision } from '../../../backends/contract/manifests.ts';
import { isVarveError, VarveError } from '../../../core/errors.ts';
import type { Store } from '../../../store.ts';
import { bytes, counted, name } from '../../messages/human.ts';
import { noConversation } from '../../messages/not-found.ts';
import { remnantLines } from '../../messages/remnants.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT, exitCodeOf } from '../../session/exit-codes.ts';
import type { Session } from '../../session/session.ts';

interface Options {
  readonly force?: boolean;
  readonly ifRevision?: string;
  readonly erase?: boolean;
}

/** Manifests listed per shared segment. */
const NAMED = 5;

export const addRm: AddCommand = (program, run) => {
  const command = program
    .command('rm')
    .description(
      'Delete conversations. Later, gc collects the segments that nothing else references.',
    )
    .argument('<id...>', 'the conversations')
    .option('-f, --force', 'ignore ids that do not exist')
    .option(
      '--if-revision <revision>',
      'fail unless this revision is stored; works only with one id',
    )
    .option(
      '--erase',
      'end only when no byte of deleted content is left in the store; lists what others share',
    );
  command.action((given: string[], { force, ifRevision, erase }: Options) =>
    run(command, async (session) => {
      const ids = [...new Set(given)];
      if (ifRevision !== undefined && (ids.length > 1 || erase === true)) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          '--if-revision works only with one id and without --erase',
        );
      }
      const store = await session.open('change');
      const { deleted, absent, failures, hasRemnants } = erase
        ? await eraseAll(session, store, ids)
        : await removeAll(session, store, ids, ifRevision as Revision | undefined);
      const missed = force ? [] : absent;
      for (const id of missed) session.warn(noConversation(id).message);
      for (const error of failures) session.warn(error.message);
      const [failure] = failures;
      if (failure !== undefined || missed.length > 0) {
        session.exitCode =
          deleted.length > 0
            ? EXIT.partial
            : failure === undefined
              ? EXIT.notFound
              : exitCodeOf(failure);
      } else if (hasRemnants) session.exitCode = EXIT.partial;
    }),
  );
};

interface Removed {
  readonly deleted: readonly string[];
  readonly absent: readonly string[];
  readonly failures: readonly VarveError[];
  readonly hasRemnants: boolean;
}

async function removeAll(
  session: Session,
  store: Store,
  ids: readonly string[],
  ifRevision: Revision | undefined,
): Promise<Removed> {
  const failures = new Map<string, VarveError>();
  const deleted = await remove(store, ids, ifRevision, session.signal, failures);
  const found = new Set([...deleted, ...failures.keys()]);
  const absent = ids.filter((id) => !found.has(id));
  const held = [...failures].filter(([, error]) => isVarveError(error, 'HELD')).map(([id]) => id);
  await session.report({ deleted, absent, held }, [
    `${counted(deleted.length, 'conversation')} deleted`,
  ]);
  return { deleted, absent, failures: [...failures.values()], hasRemnants: false };
}

async function eraseAll(session: Session, store: Store, ids: readonly string[]): Promise<Removed> {
  const progress = await session.progress('erasing', 'items');
  const report = await store.eraseConversations(ids, {
    signal: session.signal,
    onProgress: ({ phase, done, total }) => progress.update(done, total, phase),
  });
  progress.stop();
  const { deleted, absent, held, shared, collection } = report;
  const lines = [
    `${counted(deleted.length, 'conversation')} deleted`,
    ...remnantLines(collection, store.backend.capabilities),
  ];
  for (const { address, length, manifests } of shared) {
    const named = manifests.slice(0, NAMED).map(({ kind, id }) => `${kind} ${name(id)}`);
    const more = manifests.length > NAMED ? ` and ${manifests.length - NAMED} more` : '';
    lines.push(
      `segment ${address}, ${bytes(length)}, stays: it is also in ${named.join(', ')}${more}`,
    );
  }
  await session.report(report, lines);
  const failures = held.map(({ error }) => error);
  return { deleted, absent, failures, hasRemnants: (collection.remnants ?? []).length > 0 };
}

async function remove(
  store: Store,
  ids: readonly string[],
  ifRevision: Revision | undefined,
  signal: AbortSignal,
  failures: Map<string, VarveError>,
): Promise<readonly string[]> {
  if (ifRevision === undefined)
    return store.conversations.deleteMany(ids, {
      signal,
      onFailure: (id, error) => failures.set(id, error),
    });
  const [id = ''] = ids;
  return (await store.conversations.delete(id, { ifRevision, signal })) ? [id] : [];
}
