import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A process that does a job, and what it has said so far. */
export class Child {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = '';
  #errors = '';

  constructor(agent: string, job: object, command: readonly string[] = []) {
    const [program = process.execPath, ...rest] = [
      ...command,
      process.execPath,
      agent,
      JSON.stringify(job),
    ];
    this.#process = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#process, 'close');
    this.#process.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
  }

  /**
   * The lines said so far; the last may be incomplete only if the process was killed in the middle
   * of a write.
   */
  get lines(): string[] {
    return this.#output.split('\n').slice(0, -1);
  }

  /** The number behind the last line that begins with `word`, or `otherwise`. */
  last(word: string, otherwise: number): number {
    const line = this.lines.findLast((each) => each.startsWith(`${word} `));
    return line === undefined ? otherwise : Number(line.split(' ').at(-1));
  }

  /** Resolves when a line begins with `word`. */
  async says(word: string): Promise<void> {
    while (!this.lines.some((line) => line.startsWith(word))) {
      if (this.#process.exitCode !== null)
        throw new Error(`the process ended without "${word}":\n${this.#errors}`);
      await Promise.race([once(this.#process.stdout as NodeJS.EventEmitter, 'data'), this.#ended]);
    }
  }

  /** Ends it as a power cut does for a process: nothing is cleaned up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
    if (this.#errors !== '')
      throw new Error(`the process failed before it was killed:\n${this.#errors}`);
  }

  /** Waits for its end, which must be a success. */
  async succeeds(): Promise<void> {
    await this.#ended;
    if (this.#process.exitCode !== 0)
      throw new Error(`the process failed:\n${this.#errors}\n${this.lines.slice(-3).join('\n')}`);
  }
}
