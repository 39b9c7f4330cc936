import type { Revision } from '../../../backends/contract/manifests.ts';
import { counted, name } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { parseJson } from '../../session/json-input.ts';
import { readAll } from '../../session/source.ts';

interface Options {
  readonly ifRevision?: string;
  readonly idempotencyKey?: string;
}

export const addAppend: AddCommand = (program, run) => {
  const command = program
    .command('append')
    .description(
      'Add messages to the end of a conversation: a JSON array of messages, or one message.',
    )
    .argument('<id>', 'the conversation')
    .argument('[file]', 'the file to read; "-" reads standard input', '-')
    .option('--if-revision <revision>', 'fail unless this revision is stored')
    .option(
      '--idempotency-key <key>',
      'a key for this append, at most 64 bytes; a second append with the same key does nothing',
    );
  command.action((id: string, file: string, { ifRevision, idempotencyKey }: Options) =>
    run(command, async (session) => {
      const source = await session.source(file);
      const text = await readAll(source, session.signal);
      const value = parseJson(text, source.name);
      // Stores the text as given: a round trip through values would lose digits of long numbers.
      const messages = Array.isArray(value)
        ? text
        : Buffer.concat([Buffer.from('['), text, Buffer.from(']')]);
      const count = Array.isArray(value) ? value.length : 1;
      const store = await session.open('change');
      const receipt = await store.conversations.append(id, messages, {
        ...(ifRevision !== undefined && { ifRevision: ifRevision as Revision }),
        ...(idempotencyKey !== undefined && { idempotencyKey }),
        signal: session.signal,
      });
      const added = receipt.status === 'appended' ? count : 0;
      await session.report({ ...receipt, messages: added }, [
        `${receipt.status} ${name(id)} at revision ${receipt.revision}: ` +
          `${counted(added, 'message')} added`,
      ]);
    }),
  );
};
