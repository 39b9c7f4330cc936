import { Option } from 'commander';
import type { Usage } from '../../../backends/contract/usage.ts';
import type { UsageBreakdown, UsagePart } from '../../../gc/usage/usage-breakdown.ts';
import { bytes, name, number, table, timesSmaller } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { count } from '../../session/option-values.ts';

interface Options {
  readonly by?: 'application' | 'model' | 'month';
  readonly top?: number;
}

export const addDu: AddCommand = (program, run) => {
  const command = program
    .command('du')
    .description('Show what is stored and how much space it takes.')
    .addOption(
      new Option(
        '--by <field>',
        'break the sizes down by this field; reads every manifest',
      ).choices(['application', 'model', 'month']),
    )
    .option(
      '--top <number>',
      'list this many of the segments whose sharing saves most; reads every manifest ' +
        '(default: none)',
      count,
    );
  command.action(({ by, top }: Options) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const { signal } = session;
      if (by === undefined && top === undefined) {
        const usage = await store.usage({ signal });
        return session.report(usage, lines(rowsOf(usage), [1, 2]));
      }
      const breakdown = await store.usageBreakdown({
        ...(by !== undefined && { by }),
        ...(top !== undefined && { top }),
        signal,
      });
      await session.report(breakdown, [...partLines(breakdown, by), ...topLines(breakdown)]);
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
    [
      'segments',
      number(usage.segments),
      bytes(usage.segmentBytes),
      'each once, before compression',
    ],
    [
      'garbage',
      number(usage.garbageSegments),
      bytes(usage.garbageBytes),
      'of these segments; wait for collection',
    ],
    ['stored', '', bytes(usage.storedBytes), timesSmaller(given, usage.storedBytes)],
    ['  index', '', bytes(usage.indexBytes), ''],
  ];
}

function partLines(
  { parts, total, otherBytes, usage }: UsageBreakdown,
  by: Options['by'],
): string[] {
  const header = [by ?? '', 'count', 'as given', 'content', '- shared', '- compressed', '= stored'];
  const row = (label: string, part: UsagePart) => [
    label,
    number(part.manifests),
    ...[
      part.logicalBytes,
      part.contentBytes,
      part.deduplicatedBytes,
      part.compressedBytes,
      part.storedBytes,
    ].map(signed),
  ];
  const rest = (label: string, size: number) => [label, '', '', '', '', '', signed(size)];
  return lines(
    [
      header,
      ...(by === undefined
        ? []
        : parts.map((part) => row(part.key === null ? '(none)' : name(part.key), part))),
      row('all', total),
      rest('index, garbage, unused', otherBytes),
      rest('the store', usage.storedBytes),
    ],
    [1, 2, 3, 4, 5, 6],
  );
}

function topLines({ topSegments }: UsageBreakdown): string[] {
  if (topSegments.length === 0) return [];
  const rows = topSegments.map(({ address, length, references, savedBytes, example }) => [
    address,
    bytes(length),
    number(references),
    bytes(savedBytes),
    `${example.kind} ${name(example.id)}`,
  ]);
  return [
    '',
    ...lines([['segment', 'size', 'references', 'saved', 'for example in'], ...rows], [1, 2, 3]),
  ];
}

function signed(size: number): string {
  return size < 0 ? `-${bytes(-size)}` : bytes(size);
}

function lines(rows: readonly string[][], right: readonly number[]): string[] {
  return table(rows, right).map((line) => line.trimEnd());
}
