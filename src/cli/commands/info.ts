import type { AddCommand } from '../command.ts';
import { bytes, number, table } from '../human.ts';

export const addInfo: AddCommand = (program, run) => {
  const command = program.command('info').description('Tell about the store: where it is, what it can do, its sizes.');
  command.action(() =>
    run(command, async (session) => {
      const store = await session.open('read');
      const { manifests, storedBytes } = await store.usage({ signal: session.signal });
      const { multiMachine, inlineBelow } = store.backend.capabilities;
      const info = {
        location: store.location,
        conversations: manifests.conversation.count,
        blobs: manifests.blob.count,
        pins: manifests.pin.count,
        storedBytes,
        multiMachine,
        inlineBelow,
      };
      await session.report(
        info,
        table([
          ['location', info.location],
          ['conversations', number(info.conversations)],
          ['blobs', number(info.blobs)],
          ['pins', number(info.pins)],
          ['stored', bytes(storedBytes)],
          ['shared by', multiMachine ? 'processes on many machines' : 'processes on this machine'],
          ['inline below', bytes(inlineBelow)],
        ]),
      );
    }),
  );
};
