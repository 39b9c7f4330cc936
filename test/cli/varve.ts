import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll } from 'vitest';
import { Resident } from './resident.ts';

const CLI = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** A log of 48 sessions; some of its lines are not as `JSON.stringify` would write them. */
export const SAMPLE = resolve(import.meta.dirname, '../../examples/demo/sample.jsonl');

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it is. */
  readonly bytes: Buffer;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** Of these, `undefined` unsets. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A temporary folder for the tests of one file, and the command line as a user has it there. */
export class Workplace {
  readonly folder = mkdtempSync(join(tmpdir(), 'varve-cli-'));
  #resident: Resident | undefined;

  constructor() {
    afterAll(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /**
   * Runs `varve ...args` to its end, without a store in its environment, in a process that stays
   * for the next: its output is that of {@link process}, which `commands.test.ts` compares.
   */
  varve(args: readonly string[], { input = '', env = {} }: RunOptions = {}): Result {
    this.#resident ??= new Resident();
    const run = this.#resident.run({
      args,
      folder: this.folder,
      env: { ...environment(), ...env },
      input,
    });
    return {
      status: run.exitCode,
      stdout: run.stdout.toString(),
      stderr: run.stderr.toString(),
      bytes: run.stdout,
    };
  }

  /** The same in a process of its own, as a user's shell does it. */
  process(args: readonly string[], { input = '', env = {} }: RunOptions = {}): Result {
    const run = spawnSync(process.execPath, [CLI, ...args], {
      cwd: this.folder,
      input,
      env: { ...environment(), ...env },
      maxBuffer: 1 << 28,
    });
    return {
      status: run.status,
      stdout: run.stdout.toString(),
      stderr: run.stderr.toString(),
      bytes: run.stdout,
    };
  }

  /** Runs it while this process goes on, and can serve it. */
  async run(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input = '',
  ): Promise<Result> {
    const child = this.start(args, env);
    const output = Promise.all([collected(child.stdout), collected(child.stderr)]);
    child.stdin.end(input);
    const [status] = await once(child, 'close');
    const [bytes, errors] = await output;
    return { status, stdout: bytes.toString(), stderr: errors.toString(), bytes };
  }

  /** Runs it and returns what it printed; throws when it fails. */
  succeed(args: readonly string[], options?: RunOptions): string {
    const { status, stdout, stderr } = this.varve(args, options);
    if (status !== 0) throw new Error(`varve ${args.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  }

  /** The same through a shell, as `varve ...`. */
  shell(script: string, env: Readonly<Record<string, string>> = {}): Result {
    const run = spawnSync('bash', ['-c', `varve() { "$NODE" "$CLI" "$@"; }; ${script}`], {
      cwd: this.folder,
      env: { ...environment(), NODE: process.execPath, CLI, ...env },
    });
    return {
      status: run.status,
      stdout: run.stdout.toString(),
      stderr: run.stderr.toString(),
      bytes: run.stdout,
    };
  }

  /** Starts it, for tests that interfere. */
  start(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [CLI, ...args], {
      cwd: this.folder,
      env: { ...environment(), ...env },
    });
  }
}

async function collected(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function environment(): NodeJS.ProcessEnv {
  const { VARVE_STORE: _, FORCE_COLOR: __, NO_COLOR: ___, ...env } = process.env;
  return env;
}
