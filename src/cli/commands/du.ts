import type { Usage } from '../../backends/backend.ts';
import type { AddCommand } from '../command.ts';
import { bytes, number, table, timesSmaller } from '../human.ts';

export const addDu: AddCommand = (program, run) => {
  const command = program.command('du').description('Tell what is stored and what it takes.');
  command.action(() =>
    run(command, async (session) => {
      const store = await session.open('read');
      const usage = await store.usage({ signal: session.signal });
      await session.report(
        usage,
        table(rowsOf(usage), [1, 2]).map((line) => line.trimEnd()),
      );
    }),
  );
};

function rowsOf(usage: Usage): string[][] {
  const { conversation, blob, pin } = usage.manifests;
  const given = conversation.logicalBytes + blob.logicalBytes + pin.logicalBytes;
  return [
    ['conversations', number(conversation.count), bytes(conversation.logicalBytes), 'as given'],
    ['blobs', number(blob.count), bytes(blob.logicalBytes), 'as given'],
    ['pins', number(pin.count), bytes(pin.logicalBytes), 'as given'],
    ['segments', number(usage.segments), bytes(usage.segmentBytes), 'each once, before compression'],
    ['garbage', number(usage.garbageSegments), bytes(usage.garbageBytes), 'of the segments; waits for collection'],
    ['stored', '', bytes(usage.storedBytes), timesSmaller(given, usage.storedBytes)],
    ['  of that index', '', bytes(usage.indexBytes), ''],
  ];
}
