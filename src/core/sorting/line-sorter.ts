import type { Randomness } from '../system/clock.ts';
import { mergeSorted } from './merge-sorted.ts';
import { type Run, readRun, writeRun } from './run-file.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

/** Lines sorted at a time, so that sorting does not keep others waiting for long. */
const SLICE = 32 * 1024;

/**
 * Sorts any number of lines of Latin-1 in bounded memory. Up to a bound they stay in memory; above
 * it they go to sorted *runs* in files, which are merged when the lines are read. Words:
 *
 * - A *slice* is a sorted part of what is in memory.
 * - A *run* is a sorted file. All runs of a sorter bear its name; the sorter knows how many lines
 *   each must have, so a file that is missing, damaged or another's is an error.
 */
export class LineSorter {
  readonly #folder: TemporaryFolder;
  readonly #most: number;
  readonly #name: string;
  readonly #runs: Run[] = [];
  #slices: string[][] = [];
  #slice: string[] = [];
  #kept = 0;
  /** Lines that were added. */
  size = 0;

  /** @param most lines in memory. */
  constructor(folder: TemporaryFolder, most: number, randomness: Pick<Randomness, 'nonce'>) {
    this.#folder = folder;
    this.#most = most;
    this.#name = randomness.nonce();
  }

  /** The runs that were written. */
  get runs(): readonly Run[] {
    return this.#runs;
  }

  add(line: string): void {
    this.#slice.push(line);
    this.#kept++;
    this.size++;
    if (this.#slice.length === SLICE) this.#endSlice();
  }

  /** Whether there are more lines in memory than there may be: then make room. */
  get isFull(): boolean {
    return this.#kept > this.#most;
  }

  /** Moves the lines in memory to a run. */
  async makeRoom(): Promise<void> {
    this.#endSlice();
    const slices = this.#slices;
    const number = this.#runs.length;
    const file = this.#folder.file(`${this.#name}-${number}`);
    this.#folder.assertRoomFor(bytesOf(slices));
    const lines = mergeSorted(slices);
    this.#runs.push(await writeRun(this.#folder, file, `${this.#name} ${number}`, lines));
    this.#slices = [];
    this.#kept = 0;
  }

  /**
   * All lines in order; none may be added any more.
   *
   * @throws `IO` when a run is damaged.
   */
  sorted(): Iterable<string> {
    this.#endSlice();
    return mergeSorted([...this.#slices, ...this.#runs.map((run) => readRun(this.#folder, run))]);
  }

  #endSlice(): void {
    if (this.#slice.length === 0) return;
    this.#slices.push(this.#slice.sort());
    this.#slice = [];
  }
}

function bytesOf(slices: readonly (readonly string[])[]): number {
  let bytes = 0;
  for (const slice of slices) for (const line of slice) bytes += line.length + 1;
  return bytes;
}
