import { Option } from 'commander';
import type { Revision } from '../../../backends/contract/manifests.ts';
import { VarveError } from '../../../core/errors.ts';
import type { PutOptions } from '../../../manifest/conversations/conversations.ts';
import { name } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { parseJson } from '../../session/json-input.ts';
import { sharingOption } from '../../session/session.ts';
import { readAll } from '../../session/source.ts';

interface Options {
  readonly id?: string;
  readonly ifExists: NonNullable<PutOptions['ifExists']>;
  readonly ifRevision?: string;
}

export const addPut: AddCommand = (program, run) => {
  const command = program
    .command('put')
    .description('Store one conversation, given as a JSON object.')
    .argument('[file]', 'the file to read; "-" reads standard input', '-')
    .option(
      '--id <id>',
      'the id to store it under (default: its "id", else one derived from its content)',
    )
    .addOption(
      new Option('--if-exists <policy>', 'what to do when the id holds another conversation')
        .choices(['error', 'skip', 'replace', 'append'])
        .default('error'),
    )
    .option('--if-revision <revision>', 'fail unless this revision is stored')
    .addOption(sharingOption());
  command.action((file: string, { id, ifExists, ifRevision }: Options) =>
    run(command, async (session) => {
      const source = await session.source(file);
      const text = await readAll(source, session.signal);
      const conversation = parseJson(text, source.name);
      if (
        conversation === null ||
        typeof conversation !== 'object' ||
        Array.isArray(conversation)
      ) {
        throw new VarveError('MALFORMED_INPUT', `${source.name}: a conversation is a JSON object`);
      }
      const store = await session.open('write');
      const receipt = await store.conversations.put(text, {
        ifExists,
        ...(id !== undefined && { id }),
        ...(ifRevision !== undefined && { ifRevision: ifRevision as Revision }),
        signal: session.signal,
      });
      await session.report(receipt, [
        `${receipt.status} ${name(receipt.id)} at revision ${receipt.revision}`,
      ]);
    }),
  );
};
