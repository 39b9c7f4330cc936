import { type Command, Option } from 'commander';
import type { CollectShard } from '../../../backends/contract/collection.ts';
import type { Duration } from '../../../core/duration.ts';
import { VarveError } from '../../../core/errors.ts';
import { collectLines } from '../../messages/collect-lines.ts';
import { remnantLines } from '../../messages/remnants.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import {
  count,
  DURATION_HELP,
  duration,
  shard,
  writtenDuration,
} from '../../session/option-values.ts';
import type { Session } from '../../session/session.ts';
import { printHistory } from './gc-history.ts';
import { collectRegularly } from './gc-schedule.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly grace: number;
  readonly full?: boolean;
  readonly every?: Duration;
  readonly jitter?: Duration;
  readonly history?: boolean;
  readonly limit: number;
  readonly shard?: CollectShard;
  readonly deadline?: number;
  readonly concurrency?: number;
  readonly erase?: boolean;
}

type CollectOnceOptions = Omit<Options, 'every' | 'jitter' | 'history' | 'limit'>;

const DAY_MS = 24 * 60 * 60 * 1000;

export const addGc: AddCommand = (program, run) => {
  const command = declareGc(program);
  command.action(({ every, jitter, history, limit, ...options }: Options) =>
    run(command, async (session) => {
      if (jitter !== undefined && every === undefined) throw needs('--jitter', '--every');
      if (!history && command.getOptionValueSource('limit') === 'cli')
        throw needs('--limit', '--history');
      if (history) return printHistory(session, limit);
      if (every === undefined) return collectOnce(session, options);
      const { dryRun: _, erase: __, ...collecting } = options;
      const rhythm = { every, ...(jitter !== undefined && { jitter }) };
      return collectRegularly(session, { ...rhythm, full: false, ...collecting });
    }),
  );
};

function declareGc(program: Command): Command {
  return program
    .command('gc')
    .description(
      'Delete what has expired and collect what nothing references. Safe beside readers and ' +
        'writers.',
    )
    .option('-n, --dry-run', 'show what would be done, change nothing')
    .addOption(
      new Option(
        '--grace <duration>',
        'keep what lost its last reference within this time, such as 24h or 0',
      )
        .argParser(duration)
        .default(DAY_MS, '24h'),
    )
    .option(
      '--full',
      'free more space: walk everything, and rewrite files with 5 % of dead space, not 30 %',
    )
    .addOption(
      new Option(
        '--every <duration>',
        'keep running and collect at this interval, such as 6h, at least 1s, until SIGTERM ' +
          'or SIGINT',
      )
        .argParser(writtenDuration)
        .conflicts(['dryRun', 'erase']),
    )
    .option(
      '--jitter <duration>',
      'with --every: a random delay of up to this before each run (default: a tenth of it)',
      writtenDuration,
    )
    .addOption(
      new Option(
        '--history',
        'list what collections, audits and prunes did so far, newest first',
      ).conflicts([
        'dryRun',
        'grace',
        'full',
        'every',
        'erase',
        'shard',
        'deadline',
        'concurrency',
      ]),
    )
    .addOption(
      new Option('--limit <number>', 'with --history: at most this many')
        .argParser(count)
        .default(100),
    )
    .addOption(
      new Option(
        '--erase',
        'end only when no byte of deleted content is left in the store; collects everything, ' +
          'without a grace period',
      ).conflicts(['grace', 'full', 'shard', 'concurrency']),
    )
    .option('--shard <i/n>', 'do this share of the work, from 0/n to n-1/n (default: all)', shard)
    .option(
      '--deadline <duration>',
      'start no further step after this long, such as 10min (default: no limit)',
      duration,
    )
    .option(
      '--concurrency <n>',
      'concurrent requests of a store on objects (default: its own limit, 32)',
      count,
    )
    .addHelpText('after', DURATION_HELP);
}

async function collectOnce(session: Session, options: CollectOnceOptions): Promise<void> {
  const { dryRun = false, grace, full = false, erase = false, deadline, ...limits } = options;
  const store = await session.open(dryRun ? 'read' : 'change');
  const progress = await session.progress('collecting', 'items');
  const watching = {
    ...(deadline !== undefined && { deadline }),
    signal: session.signal,
    onProgress: ({ phase, done, total }: { phase: string; done: number; total: number }) =>
      progress.update(done, total, phase),
  };
  const collecting = erase ? watching : { grace, full, ...limits, ...watching };
  const report = await (dryRun
    ? store.gc.plan({ ...collecting, erase })
    : erase
      ? store.gc.erase(collecting)
      : store.gc.run(collecting));
  progress.stop();
  await session.report(report, [
    ...collectLines(report),
    ...remnantLines(report, store.backend.capabilities),
  ]);
  if (report.remnants !== undefined && report.remnants.length > 0) session.exitCode = EXIT.partial;
}

function needs(option: string, other: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `${option} works only with ${other}`);
}
