import { type Command, Option } from 'commander';
import type { BlobStat, PutBlobOptions } from '../../manifest/blobs/blob-options.ts';
import { bytes, counted, name, number, table, timestamp } from '../messages/human.ts';
import { noBlob } from '../messages/not-found.ts';
import type { AddCommand } from '../session/command.ts';
import { Destination } from '../session/destination.ts';
import { EXIT } from '../session/exit-codes.ts';
import { type ByteRange, byteRange } from '../session/option-values.ts';
import type { Run } from '../session/session.ts';

export const addBlob: AddCommand = (program, run) => {
  const blob = program.command('blob').description('Named byte streams of any size.');
  addPut(blob, run);
  addGet(blob, run);
  addList(blob, run);
  addRemove(blob, run);
  addStat(blob, run);
};

function addPut(blob: Command, run: Run): void {
  const command = blob
    .command('put')
    .description('Store a file under a name.')
    .argument('<name>', 'the name')
    .argument('[file]', 'the file to read; "-" reads standard input', '-')
    .addOption(
      new Option('--if-exists <policy>', 'what to do when the name holds other content')
        .choices(['error', 'skip', 'replace'])
        .default('error'),
    )
    .option('--content-type <type>', 'a media type, kept as given (default: none)')
    .option('--application <name>', 'the application it belongs to (default: none)');
  command.action(
    (
      blobName: string,
      file: string,
      options: Pick<PutBlobOptions, 'ifExists' | 'contentType' | 'application'>,
    ) =>
      run(command, async (session) => {
        const source = await session.source(file);
        const store = await session.open('write');
        const stream = source.open(session.signal) as AsyncIterable<Uint8Array>;
        const receipt = await store.blobs.put(blobName, stream, {
          ...options,
          signal: session.signal,
        });
        await session.report(receipt, [
          `${receipt.status} ${name(receipt.name)}: ${bytes(receipt.bytes)}, of which ` +
            `${bytes(receipt.newBytes)} new`,
          `sha256 ${receipt.sha256}`,
        ]);
      }),
  );
}

function addGet(blob: Command, run: Run): void {
  const command = blob
    .command('get')
    .description('Print the bytes of a blob.')
    .argument('<name>', 'the name')
    .option(
      '--range <range>',
      'only these bytes: 0-1023, or 1024- for everything after it (default: all)',
      byteRange,
    )
    .option(
      '-o, --output <file>',
      'write to a file, which appears only once it is complete (default: standard output)',
    );
  command.action((blobName: string, { range, output }: { range?: ByteRange; output?: string }) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const content = await store.blobs.get(blobName, { ...range, signal: session.signal });
      if (content === undefined) throw noBlob(blobName);
      const destination = output === undefined ? undefined : await Destination.open(output);
      try {
        for await (const piece of content) await (destination ?? session.output).write(piece);
        await destination?.commit();
      } catch (error) {
        await destination?.abandon();
        throw error;
      }
      if (output === undefined) return;
      const size = content.end - content.start;
      await session.report({ output, bytes: size }, [`${bytes(size)} written to ${output}`]);
    }),
  );
}

function addList(blob: Command, run: Run): void {
  const command = blob
    .command('ls')
    .description('List blobs.')
    .option('--application <name>', 'only those of this application')
    .option('-l, --long', 'show size and creation time too');
  command.action(({ long, ...filter }: { long?: boolean; application?: string }) =>
    run(command, async (session) => {
      const store = await session.open('read');
      for await (const head of store.blobs.list({ ...filter, signal: session.signal })) {
        const row = [bytes(head.bytes).padStart(8), timestamp(head.createdAt), name(head.name)];
        await session.output.line(
          session.json ? JSON.stringify(head) : long ? row.join('  ') : name(head.name),
        );
      }
    }),
  );
}

function addRemove(blob: Command, run: Run): void {
  const command = blob
    .command('rm')
    .description('Delete blobs.')
    .argument('<name...>', 'the names')
    .option('-f, --force', 'ignore names that do not exist');
  command.action((given: string[], { force }: { force?: boolean }) =>
    run(command, async (session) => {
      const store = await session.open('change');
      const deleted: string[] = [];
      const absent: string[] = [];
      for (const each of new Set(given)) {
        const was = await store.blobs.delete(each, { signal: session.signal });
        (was ? deleted : absent).push(each);
      }
      await session.report({ deleted, absent }, [`${counted(deleted.length, 'blob')} deleted`]);
      if (absent.length === 0 || force) return;
      for (const each of absent) session.warn(noBlob(each).message);
      session.exitCode = deleted.length > 0 ? EXIT.partial : EXIT.notFound;
    }),
  );
}

function addStat(blob: Command, run: Run): void {
  const command = blob
    .command('stat')
    .description('Show what is known about a blob.')
    .argument('<name>', 'the name');
  command.action((blobName: string) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const stat = await store.blobs.stat(blobName, { signal: session.signal });
      if (stat === undefined) throw noBlob(blobName);
      await session.report(stat, table(rowsOf(stat)));
    }),
  );
}

function rowsOf(stat: BlobStat): string[][] {
  return [
    ['name', name(stat.name)],
    ['size', `${bytes(stat.bytes)} (${number(stat.bytes)} bytes)`],
    ['sha256', stat.sha256],
    ['chunks', number(stat.chunks)],
    ['content type', name(stat.contentType ?? '-')],
    ['application', name(stat.application ?? '-')],
    ['created', timestamp(stat.createdAt)],
    ['revision', stat.revision],
  ];
}
