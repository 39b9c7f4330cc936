import { writeSync } from 'node:fs';
import type {
  ManifestWrite,
  NewEntry,
  PutWrite,
} from '../../../src/backends/contract/manifests.ts';
import { LocalBackend } from '../../../src/backends/local/local-backend.ts';
import { VarveError } from '../../../src/core/errors.ts';
import { Random } from './random.ts';
import { entryOf, keyOf, namesOf, putOf, readNames } from './workload.ts';

/** What a child process is told to do. */
export interface Job {
  readonly path: string;
  readonly task: 'commit' | 'publish' | 'churn' | 'collect' | 'audit' | 'idle';
  readonly seed?: number;
  /** Numbers of the conversations to write. */
  readonly from?: number;
  readonly to?: number;
  readonly batch?: number;
  readonly packBytes?: number;
  readonly blockBytes?: number;
  /** For tasks that repeat: how long, in ms. */
  readonly forMs?: number;
}

/** Written at once, without a buffer that a kill could lose. */
function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

async function commitAll(
  backend: LocalBackend,
  { from = 0, to = 0, batch = 8 }: Job,
): Promise<void> {
  for (let start = from; start < to; start += batch) {
    const writes: ManifestWrite[] = [];
    for (let number = start; number < Math.min(to, start + batch); number++)
      writes.push(putOf(number));
    for (const outcome of await backend.commit(writes))
      if (outcome.status === 'failed') throw outcome.error;
    tell(`ack ${start + writes.length}`);
  }
}

/** Streams of about 12 MB, so that each is flushed more than once before it is published. */
async function publishAll(backend: LocalBackend, { from = 0, to = 0 }: Job): Promise<void> {
  for (let number = from; number < to; number++) {
    const write: Omit<PutWrite, 'entries' | 'fields'> = {
      operation: 'put',
      key: keyOf(number),
      ifExists: 'error',
    };
    async function* entries(): AsyncGenerator<NewEntry> {
      for (let entry = 0; entry < PUBLISHED_ENTRIES; entry++) {
        tell(`entry ${number} ${entry}`);
        yield {
          ...entryOf(namesOf(number, entry)),
          body: Buffer.from(publishedBody(number, entry)),
        };
      }
    }
    const outcome = await backend.publish(write, entries(), () => ({
      logicalBytes: 1,
      createdAt: number,
    }));
    if (outcome.status === 'failed') throw outcome.error;
    tell(`ack ${number + 1}`);
  }
}

export const PUBLISHED_ENTRIES = 12;

/** A JSON array of names with a megabyte of spaces behind it. */
function publishedBody(number: number, entry: number): string {
  return JSON.stringify(namesOf(number, entry)).padEnd(1_000_000);
}

const FEWEST_OPERATIONS = 11;

/**
 * Writes at random to a few ids that others write to as well; what is refused is part of the game.
 */
async function churn(backend: LocalBackend, { seed = 0, forMs = 1000 }: Job): Promise<void> {
  const random = new Random(seed);
  const end = performance.now() + forMs;
  let operations = 0;
  while (performance.now() < end || operations < FEWEST_OPERATIONS) {
    const writes: ManifestWrite[] = Array.from({ length: 1 + random.below(4) }, () =>
      randomWrite(random, seed, operations),
    );
    for (const outcome of await backend.commit(writes)) {
      if (outcome.status === 'failed' && !EXPECTED.has(outcome.error.code)) throw outcome.error;
    }
    await readNames(backend, keyOf(random.below(CHURNED)));
    operations++;
  }
  tell(`operations ${operations}`);
}

export const CHURNED = 12;
const EXPECTED = new Set(['NOT_FOUND', 'ALREADY_EXISTS', 'CONFLICT']);

function randomWrite(random: Random, seed: number, round: number): ManifestWrite {
  const key = keyOf(random.below(CHURNED));
  // Few names, so that segments come, go and come back.
  const entries = Array.from({ length: 1 + random.below(3) }, () =>
    entryOf(
      Array.from({ length: random.below(5) }, () => `name ${random.below(40)}`).concat(
        `of ${seed}.${round}`,
      ),
    ),
  );
  const kind = random.below(10);
  if (kind < 3) return { operation: 'delete', key };
  if (kind < 5) return { operation: 'append', key, logicalBytes: 1, entries };
  return {
    operation: 'put',
    key,
    ifExists: kind < 9 ? 'replace' : 'skip',
    fields: { logicalBytes: 1 },
    entries,
  };
}

/** On a machine busy with other things, time alone would be over too soon. */
const FEWEST_RUNS = 4;

async function collect(backend: LocalBackend, { forMs = 1000, seed = 0 }: Job): Promise<void> {
  const end = performance.now() + forMs;
  let runs = 0;
  let rewritten = 0;
  while (performance.now() < end || runs < FEWEST_RUNS) {
    tell('collecting');
    const report = await backend.collect({ graceMs: 0, full: (seed + runs) % 3 !== 0 });
    rewritten += report.rewrittenPacks;
    runs++;
  }
  tell(`rewritten ${rewritten}`);
  tell(`runs ${runs}`);
}

async function audit(backend: LocalBackend, { forMs = 1000 }: Job): Promise<void> {
  const end = performance.now() + forMs;
  let runs = 0;
  while (performance.now() < end || runs < FEWEST_RUNS) {
    for await (const finding of backend.audit())
      throw new Error(`the audit found ${JSON.stringify(finding)}`);
    runs++;
  }
  tell(`audits ${runs}`);
}

async function main(job: Job): Promise<void> {
  const { packBytes = 64 * 1024 * 1024, blockBytes = 256 * 1024 } = job;
  const backend = await LocalBackend.open(job.path, {
    packBytes,
    segmentBlockBytes: blockBytes,
    bodyBlockBytes: blockBytes,
  });
  tell('open');
  switch (job.task) {
    case 'commit':
      await commitAll(backend, job);
      break;
    case 'publish':
      await publishAll(backend, job);
      break;
    case 'churn':
      await churn(backend, job);
      break;
    case 'collect':
      await collect(backend, job);
      break;
    case 'audit':
      await audit(backend, job);
      break;
    case 'idle':
      await commitAll(backend, job);
      // A store that nobody can reach any more may be collected, and then it holds no lock.
      setInterval(() => backend.location, 1000);
      return;
  }
  await backend.close();
  tell('closed');
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1]) {
  main(JSON.parse(process.argv[2]) as Job).catch((error: unknown) => {
    const code = error instanceof VarveError ? error.code : '';
    writeSync(
      2,
      `${code} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exitCode = 1;
  });
}
