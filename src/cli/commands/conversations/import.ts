import { Option } from 'commander';
import { isVarveError, VarveError } from '../../../core/errors.ts';
import type {
  ImportCounts,
  ImportOptions,
  ImportReport,
} from '../../../manifest/transfer/import.ts';
import type { Store } from '../../../store.ts';
import { bytes, counted, number, seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import { type Session, sharingOption } from '../../session/session.ts';
import type { Source } from '../../session/source.ts';

interface Options {
  readonly ifExists: NonNullable<ImportOptions['ifExists']>;
  readonly onError: NonNullable<ImportOptions['onError']>;
}

const OUTCOMES = ['created', 'appended', 'replaced', 'unchanged', 'skipped', 'failed'] as const;
const COUNTS = ['records', 'bytes', ...OUTCOMES, 'newSegments', 'newBytes'] as const;

export const addImport: AddCommand = (program, run) => {
  const command = program
    .command('import')
    .description('Store every line of JSONL files as a conversation.')
    .argument('<file...>', 'the files, in this order; "-" reads standard input')
    .addOption(
      new Option('--if-exists <policy>', 'what to do when an id holds another conversation')
        .choices(['error', 'skip', 'replace', 'append'])
        .default('error'),
    )
    .addOption(
      new Option('--on-error <policy>', 'what to do when a line cannot be stored')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .addOption(sharingOption());
  command.action((files: string[], options: Options) =>
    run(command, (session) => importAll(session, files, options)),
  );
};

async function importAll(
  session: Session,
  files: readonly string[],
  { ifExists, onError }: Options,
): Promise<void> {
  // Checks all files before it reads the first, so that a misspelt name does not end an import
  // half-way.
  const sources = await Promise.all(files.map((file) => session.source(file)));
  const store = await session.open('write');
  const startedAt = performance.now();
  const progress = await session.progress('importing', 'bytes');
  const size = sources.some((source) => source.size === undefined)
    ? 0
    : sum(sources.map((source) => source.size ?? 0));
  const reports: ImportReport[] = [];
  let current: ImportCounts | undefined;
  try {
    for (const source of sources) {
      current = undefined;
      const report = await importOne(session, store, source, {
        ifExists,
        onError,
        signal: session.signal,
        onProgress(counts) {
          current = counts;
          const { records, bytes: done } = total([...reports, counts]);
          progress.update(
            done,
            size,
            `${counted(records, 'conversation')}, ${rate(done, startedAt)}`,
          );
        },
      });
      printErrors(session, source, report);
      reports.push(report);
    }
  } catch (error) {
    if (session.signal.aborted) {
      const { records } = total(current === undefined ? reports : [...reports, current]);
      session.note(`${counted(records, 'line')} done; the same command continues from there`);
    }
    throw error;
  }
  progress.stop();
  await summarise(session, sources, reports, performance.now() - startedAt);
}

async function importOne(
  session: Session,
  store: Store,
  source: Source,
  options: ImportOptions,
): Promise<ImportReport> {
  try {
    return await store.importJsonl(source.open(session.signal), options);
  } catch (error) {
    if (!isVarveError(error) || session.signal.aborted) throw error;
    throw new VarveError(error.code, `${source.name}: ${error.message}`, { cause: error });
  }
}

function printErrors(session: Session, source: Source, { errors, failed }: ImportReport): void {
  for (const { lineNumber, error } of errors)
    session.warn(`${source.name}: line ${lineNumber}: ${error.message}`);
  if (failed > errors.length)
    session.warn(`${source.name}: … and ${counted(failed - errors.length, 'line')} more`);
}

async function summarise(
  session: Session,
  sources: readonly Source[],
  reports: readonly ImportReport[],
  durationMs: number,
): Promise<void> {
  const all = total(reports);
  const errors = reports.flatMap((report, index) =>
    report.errors.map(({ lineNumber, byteOffset, id, error }) => {
      return {
        file: sources[index]?.name,
        lineNumber,
        byteOffset,
        id,
        code: error.code,
        message: error.message,
      };
    }),
  );
  const outcomes = OUTCOMES.filter((outcome) => all[outcome] > 0).map(
    (outcome) => `${number(all[outcome])} ${outcome}`,
  );
  await session.report({ ...all, durationMs: Math.round(durationMs), errors }, [
    `${counted(all.records, 'conversation')}, ${bytes(all.bytes)} in ` +
      `${seconds(durationMs)}: ${outcomes.join(', ') || 'nothing to store'}`,
    `${counted(all.newSegments, 'new segment')}${all.newSegments > 0 ? ` of ${bytes(all.newBytes)}` : ''}`,
  ]);
  if (all.failed > 0) session.exitCode = all.failed < all.records ? EXIT.partial : EXIT.failure;
}

function total(counts: readonly ImportCounts[]): ImportCounts {
  const sums = COUNTS.map((key) => [key, sum(counts.map((each) => each[key]))]);
  return Object.fromEntries(sums) as ImportCounts;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function rate(size: number, startedAt: number): string {
  return `${bytes(Math.round((size / Math.max(performance.now() - startedAt, 1)) * 1000))}/s`;
}
