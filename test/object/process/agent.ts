import { writeSync } from 'node:fs';
import type { ManifestWrite } from '../../../src/backends/contract/manifests.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { VarveError } from '../../../src/core/errors.ts';
import { Random } from '../../local/process/random.ts';
import { entryOf } from '../../local/process/workload.ts';
import { openShared } from './open-shared.ts';

/** What a child process has to do. */
export interface ObjectJob {
  /** `s3://…`; credentials come from the environment. */
  readonly location: string;
  readonly task: 'write' | 'hammer' | 'collect' | 'audit';
  readonly seed: number;
  /** How long, in ms. */
  readonly forMs: number;
}

/** The number of conversations that only one writer uses. */
export const OWN_CONVERSATIONS = 6;

/** Short, so that attempts of killed processes are fenced during the test. */
export const LEASE_MS = 3000;

/** Written at once, without a buffer that a kill could lose. */
function print(line: string): void {
  writeSync(1, `${line}\n`);
}

export function idOf(seed: number, number: number): string {
  return `writer ${seed} conversation ${number}`;
}

/**
 * Puts, appends to and deletes conversations of its own, whose segments all writers share. Prints
 * what it is about to do and what was acknowledged, so that its parent knows what has to be stored:
 * the names in each entry, or nothing.
 */
async function write(backend: ObjectBackend, { seed, forMs }: ObjectJob): Promise<void> {
  const random = new Random(seed);
  const states = new Map<number, string[][] | null>();
  const end = performance.now() + forMs;
  let operations = 0;
  while (performance.now() < end) {
    const number = random.below(OWN_CONVERSATIONS);
    const { write, next } = step(random, seed, number, states.get(number) ?? null);
    print(`try ${JSON.stringify([number, next])}`);
    const [outcome] = await backend.commit([write]);
    if (outcome?.status === 'failed') throw outcome.error;
    states.set(number, next);
    print(`ack ${JSON.stringify([number, next])}`);
    operations++;
  }
  print(`operations ${operations}`);
}

function step(
  random: Random,
  seed: number,
  number: number,
  state: string[][] | null,
): { write: ManifestWrite; next: string[][] | null } {
  const key = { kind: 'conversation' as const, id: idOf(seed, number) };
  const names = [
    `shared ${random.below(12)}`,
    `shared ${random.below(12)}`,
    `own ${seed} ${random.below(20)}`,
  ];
  const kind = random.below(10);
  if (state !== null && kind < 3) return { write: { operation: 'delete', key }, next: null };
  if (state !== null && kind < 6) {
    const entries = [entryOf(names)];
    return {
      write: { operation: 'append', key, logicalBytes: 1, entries },
      next: [...state, names],
    };
  }
  const entries = [entryOf(names), entryOf(['shared 0'])];
  const write: ManifestWrite = {
    operation: 'put',
    key,
    ifExists: 'replace',
    fields: { logicalBytes: 1 },
    entries,
  };
  return { write, next: [names, ['shared 0']] };
}

/** Puts new conversations that reference one and the same segment, as fast as it can. */
async function hammer(backend: ObjectBackend, { seed, forMs }: ObjectJob): Promise<void> {
  const end = performance.now() + forMs;
  let operations = 0;
  while (performance.now() < end) {
    const key = { kind: 'conversation' as const, id: `hammer ${seed} ${operations}` };
    const entries = [entryOf(['the one segment'])];
    const [outcome] = await backend.commit([
      { operation: 'put', key, ifExists: 'error', fields: { logicalBytes: 1 }, entries },
    ]);
    if (outcome?.status === 'failed') throw outcome.error;
    operations++;
  }
  print(`operations ${operations}`);
}

async function collect(backend: ObjectBackend, { forMs, seed }: ObjectJob): Promise<void> {
  const end = performance.now() + forMs;
  for (let runs = 0; performance.now() < end; runs++) {
    await backend.collect({ graceMs: 0, full: (runs + seed) % 3 === 0 });
    print(`runs ${runs + 1}`);
  }
}

/**
 * An audit beside writers finds what killed processes leaked; lost or changed content fails the
 * test.
 */
async function audit(backend: ObjectBackend, { forMs }: ObjectJob): Promise<void> {
  const end = performance.now() + forMs;
  for (let runs = 0; performance.now() < end; runs++) {
    for await (const finding of backend.audit({ repair: true })) {
      if (finding.harmful) throw new Error(`the audit found ${JSON.stringify(finding)}`);
    }
    print(`audits ${runs + 1}`);
  }
}

const TASKS = { write, hammer, collect, audit };

async function main(job: ObjectJob): Promise<void> {
  const backend = await openShared(job.location, { leaseMs: LEASE_MS });
  print('open');
  await TASKS[job.task](backend, job);
  await backend.close();
  print('closed');
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1]) {
  main(JSON.parse(process.argv[2]) as ObjectJob).catch((error: unknown) => {
    const code = error instanceof VarveError ? error.code : '';
    writeSync(
      2,
      `${code} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exitCode = 1;
  });
}
