import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const PROGRAM = resolve(import.meta.dirname, 'resident-process.mjs');

export interface Request {
  readonly args: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly input: string | Uint8Array;
}

export interface Reply {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** The command line in a process that stays. Blocks while a command runs, as `spawnSync` does. */
export class Resident {
  readonly #folder = mkdtempSync(join(tmpdir(), 'varve-resident-'));
  readonly #requests: number;
  readonly #replies: number;

  constructor() {
    const [requests, replies] = ['requests', 'replies'].map((name) => join(this.#folder, name)) as [
      string,
      string,
    ];
    const made = spawnSync('mkfifo', [requests, replies], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`mkfifo failed: ${made.stderr}`);
    const child = spawn(process.execPath, [PROGRAM, requests, replies], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.unref();
    // Each waits until the other end is opened.
    this.#requests = openSync(requests, 'w');
    this.#replies = openSync(replies, 'r');
    rmSync(this.#folder, { recursive: true });
  }

  run({ input, ...request }: Request): Reply {
    const line = JSON.stringify({ ...request, input: Buffer.from(input).toString('base64') });
    writeFileSync(this.#requests, `${line}\n`);
    const { exitCode, stdout, stderr } = JSON.parse(this.#readLine());
    return {
      exitCode,
      stdout: Buffer.from(stdout, 'base64'),
      stderr: Buffer.from(stderr, 'base64'),
    };
  }

  #readLine(): string {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.alloc(1 << 16);
      const length = readSync(this.#replies, chunk);
      if (length === 0) throw new Error('the resident command line ended');
      chunks.push(chunk.subarray(0, length));
      if (chunk[length - 1] === 0x0a) return Buffer.concat(chunks).toString();
    }
  }
}
