import type { Writable } from 'node:stream';
import { type Command, Option } from 'commander';
import { isVarveError, VarveError } from '../../core/errors.ts';
import type { Store } from '../../store.ts';
import { requestSummary } from '../messages/request-summary.ts';
import { canAsk, confirm } from '../terminal/confirm.ts';
import { type Progress, SILENT, startProgress } from '../terminal/progress.ts';
import { StatusLine } from '../terminal/status-line.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import { findSource, type Source } from './source.ts';

export interface GlobalOptions {
  readonly store?: string;
  /** Only on commands that create a store. */
  readonly sharedWith?: 'owner' | 'group';
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly stat?: boolean;
  readonly verbose?: boolean;
}

/**
 * Runs a command's action in a session of its own; always flushes the output and closes the store.
 */
export type Run = (command: Command, action: (session: Session) => Promise<void>) => Promise<void>;

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option(
        '-s, --store <location>',
        'the store: a directory, or s3://bucket/prefix?region=…',
      ).env('VARVE_STORE'),
    )
    .option(
      '--json',
      'print results as JSON: one document, or one object per line where there are many',
    )
    .option('-q, --quiet', 'print no summary and no progress, only data and errors')
    .option('-v, --verbose', 'report each retry on standard error, with the reason')
    .option('--stat', 'at the end, count the requests to the storage service on standard error');
}

/** The option of commands that create a store if there is none. */
export function sharingOption(): Option {
  const description =
    'who may use the directory of a store that this command creates (default: owner)';
  return new Option('--shared-with <who>', description).choices(['owner', 'group']);
}

/** What one run of a command uses: its store, its output, its abort signal. */
export class Session {
  readonly signal: AbortSignal;
  readonly output: Output;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Exit code of the process when the command ends without an error. */
  exitCode: ExitCode = EXIT.ok;
  /**
   * Whether a signal is the normal end of the command; then it does not count as an interruption.
   */
  endsBySignal = false;
  readonly #location: string | undefined;
  readonly #sharedWith: GlobalOptions['sharedWith'];
  readonly #stat: boolean;
  readonly #terminal: Terminal;
  readonly #status: StatusLine;
  #store: Store | undefined;
  #progress: Progress | undefined;

  constructor(options: GlobalOptions, terminal: Terminal, output: Output, signal: AbortSignal) {
    this.signal = signal;
    this.output = output;
    this.#terminal = terminal;
    this.json = options.json ?? false;
    this.quiet = options.quiet ?? false;
    this.#location = options.store;
    this.#sharedWith = options.sharedWith;
    this.#stat = options.stat ?? false;
    const { quiet: isQuiet, json: isJson } = this;
    const looks = { isQuiet, isJson, isVerbose: options.verbose ?? false };
    this.#status = new StatusLine(looks, () => this.#progress?.stop(), terminal.stderr);
    output.onWrite = () => this.#status.clear();
  }

  /**
   * Opens the store that the command line names. `write` creates it if there is none; `change` and
   * `read` need an existing one.
   *
   * @throws what `openStore` throws; `INVALID_ARGUMENT` when no store was named.
   */
  async open(access: 'read' | 'change' | 'write'): Promise<Store> {
    const location = this.location();
    // Imported here so that --help and --version do not load a database.
    const { openStore } = await import('../../store.ts');
    this.#store = await openStore(location, {
      readOnly: access === 'read',
      create: access === 'write',
      signal: this.signal,
      onWarning: (message) => this.warn(message),
      ...(this.#sharedWith !== undefined && { local: { sharedWith: this.#sharedWith } }),
      onEvent: (event) => this.#status.see(event, location),
    });
    return this.#store;
  }

  /** The location of the store that the command line names, whether it exists or not. */
  location(): string {
    if (!this.#location) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'no store was named: give --store LOCATION or set VARVE_STORE',
      );
    }
    return this.#location;
  }

  /** Prints a result: one JSON object with `--json`, otherwise lines for people, unless quiet. */
  async report(result: object, lines: readonly string[]): Promise<void> {
    if (this.json) await this.output.line(JSON.stringify(result));
    else if (!this.quiet) for (const line of lines) await this.output.line(line);
  }

  /** Prints a message for the person at the terminal, unless quiet. */
  note(message: string): void {
    if (!this.quiet) this.warn(message);
  }

  /** Prints a warning, always. */
  warn(message: string): void {
    this.#status.clear();
    this.#progress?.stop();
    this.#terminal.stderr.write(`varve: ${message}\n`);
  }

  /** Whether there is a person at the terminal to ask. */
  get canAsk(): boolean {
    return canAsk(this.#terminal);
  }

  /** Shows lines and asks a question. Returns whether the answer is yes. */
  confirm(lines: readonly string[], question: string): Promise<boolean> {
    this.#progress?.stop();
    for (const line of lines) this.#terminal.stderr.write(`${line}\n`);
    return confirm(this.#terminal, question, this.signal);
  }

  /**
   * Finds a file that the command line names, or standard input for `-`, without reading it.
   *
   * @throws as `findSource` does.
   */
  source(path: string): Promise<Source> {
    return findSource(path, this.#terminal.stdin);
  }

  async progress(label: string, unit: 'bytes' | 'items'): Promise<Progress> {
    const progress = this.quiet ? SILENT : await startProgress(label, unit, this.#terminal.stderr);
    this.#progress = {
      update: (...at) => {
        this.#status.clear();
        progress.update(...at);
      },
      stop: () => progress.stop(),
    };
    return this.#progress;
  }

  async close(): Promise<void> {
    this.#status.clear();
    this.#progress?.stop();
    const store = this.#store;
    this.#store = undefined;
    try {
      await store?.close();
    } finally {
      if (this.#stat && store !== undefined) this.warn(requestSummary(store.metrics(), this.json));
    }
  }
}

/** Reports an error on standard error: a sentence, or a JSON object with `--json`. */
export function printError(error: unknown, json: boolean, stderr: Writable): void {
  const known = isVarveError(error);
  if (json) {
    const { code, message, retryable } = known
      ? error
      : { code: 'INTERNAL', message: String(error), retryable: false };
    stderr.write(`${JSON.stringify({ error: { code, message, retryable } })}\n`);
  } else if (known && error.code !== 'INTERNAL') {
    stderr.write(`varve: ${error.message}\n`);
  } else {
    const trace = error instanceof Error ? error.stack : String(error);
    stderr.write(`varve: this is a defect in Varve, please report it\n${trace}\n`);
  }
}
