import type { ManifestKey, NewSegment } from '../../../src/backends/contract/manifests.ts';
import { SEGMENTS, type TrackedWrite } from '../checks/tracked-writes.ts';
import type { Client } from '../simulator/client.ts';
import type { SeededRandom } from '../simulator/seeded-random.ts';
import { EPOCH } from '../simulator/simulated-process.ts';
import type { Simulation } from '../simulator/simulation.ts';
import type { Workload } from './workloads.ts';

/** Steps of a process, one after the other. */
export type Task = readonly Step[];

/** One operation of a process. */
export interface Step {
  /** How long to wait before, in ms. */
  readonly waitMs: number;
  readonly run: () => Promise<void>;
}

/** The manifests and segments that a schedule uses. */
export interface DataSet {
  readonly keys: readonly ManifestKey[];
  readonly segments: readonly NewSegment[];
}

const KEYS: readonly ManifestKey[] = [
  { kind: 'conversation', id: 'c1' },
  { kind: 'conversation', id: 'c2' },
  { kind: 'pin', id: 'p1' },
  { kind: 'conversation', id: 'c3' },
  { kind: 'blob', id: 'b1' },
];

const PINS: readonly ManifestKey[] = [
  { kind: 'pin', id: 'p1' },
  { kind: 'conversation', id: 'c1' },
];

/**
 * Times to expire, in ms since the beginning of the simulation: before it, soon, after the last
 * operation, and after the final clean-up.
 */
const EXPIRIES = [-1000, 30, 100, 1000, 10_000, 1e9];

export function drawDataSet(random: SeededRandom, workload: Workload): DataSet {
  const keys = workload.usesPins ? PINS : KEYS;
  return {
    keys: keys.slice(0, random.pick(workload.keys)),
    segments: SEGMENTS.slice(0, random.pick(workload.segments)),
  };
}

/** Stores every manifest before the schedule begins; with pins, some expire and some are held. */
export async function populate(
  { writes }: Simulation,
  client: Client,
  random: SeededRandom,
  workload: Workload,
  { keys, segments }: DataSet,
): Promise<void> {
  for (const key of keys) {
    const entries = [random.sample(segments, 2)];
    const expiresAt = workload.usesPins ? EPOCH + random.pick(EXPIRIES) : undefined;
    await client.commit([
      writes.put(key, 'replace', entries, expiresAt === undefined ? {} : { expiresAt }),
    ]);
    if (workload.usesPins && random.chance(0.3)) await client.commit([writes.hold(key, true)]);
  }
}

export function drawTask(
  simulation: Simulation,
  client: Client,
  random: SeededRandom,
  workload: Workload,
  dataSet: DataSet,
  log: (line: string) => void,
): Task {
  return Array.from({ length: random.pick([1, 2, 3]) }, () => {
    const waitMs = workload.isSlow
      ? random.pick([0, 0, 1000, 5000, 8000])
      : random.pick([0, 0, 0, 10, 50]);
    return { waitMs, run: drawOperation(simulation, client, random, workload, dataSet, log) };
  });
}

function drawOperation(
  simulation: Simulation,
  client: Client,
  random: SeededRandom,
  workload: Workload,
  { keys, segments }: DataSet,
  log: (line: string) => void,
): () => Promise<void> {
  const { writes } = simulation;
  const key = random.pick(keys);
  const what = random.weighted(workload.operations);
  const entries = (most: number) =>
    Array.from({ length: random.between(1, most) }, () =>
      random.sample(segments, random.pick([0, 1, 1, 2])),
    );
  const logged = (text: string, work: () => Promise<unknown>) => async () => {
    log(`${text} ${key.id}`);
    await work();
  };
  const one = (write: TrackedWrite) =>
    logged(`${what} (${write.bodies.length} entries, ${write.bodies[0]})`, () =>
      client.commit([write]),
    );
  switch (what) {
    case 'put':
      return one(writes.put(key, 'replace', entries(2)));
    case 'error':
    case 'skip':
      return one(writes.put(key, what, entries(2)));
    case 'expiring': {
      const expiresAt = EPOCH + random.pick(EXPIRIES);
      return one(
        random.chance(0.7)
          ? writes.put(key, 'replace', entries(2), { expiresAt })
          : writes.append(key, entries(1), { expiresAt }),
      );
    }
    case 'append': {
      const isNamed = random.chance(0.5);
      const write = writes.append(
        key,
        entries(2),
        isNamed ? { idempotencyKey: `key ${random.name(4)}` } : {},
      );
      write.mayRepeat = isNamed && random.chance(0.7);
      return logged(`append${isNamed ? ' with a key' : ''} (${write.bodies[0]})`, async () => {
        await client.commit([write]);
        if (write.mayRepeat) await client.commit([write]);
      });
    }
    case 'delete':
      return one(writes.delete(key));
    case 'hold':
      return one(writes.hold(key, true));
    case 'lift':
      return one(writes.hold(key, false));
    case 'several': {
      const puts = random.sample(keys, 3).map((each) => writes.put(each, 'replace', entries(1)));
      return logged('several puts', () => client.commit(puts));
    }
    case 'publish': {
      const write = writes.put(key, 'replace', entries(3));
      return logged(`publish (${write.bodies[0]})`, () => client.publish(write));
    }
    case 'conditional': {
      const isDelete = random.chance(0.4);
      const drawn = entries(1);
      return logged('read, then write at that revision', async () => {
        const ifRevision = await client.read(key);
        if (ifRevision === undefined) return;
        await client.commit([
          isDelete
            ? writes.delete(key, ifRevision)
            : writes.put(key, 'replace', drawn, { ifRevision }),
        ]);
      });
    }
    case 'prune':
      return logged('prune', () => client.prune(key.kind));
    case 'read':
      return logged('read', () => client.read(key));
    case 'list':
      return logged('list', () => client.list(key.kind, random.pick([undefined, true, false])));
    case 'collect': {
      const isFull = random.chance(0.6);
      return logged(`collect${isFull ? ' in full' : ''}`, () => client.collect(isFull));
    }
    case 'shard': {
      const isFull = random.chance(0.5);
      const count = random.pick([2, 3]);
      const index = random.between(0, count - 1);
      return logged(`collect${isFull ? ' in full' : ''} shard ${index} of ${count}`, () =>
        client.collect(isFull, { shard: { index, count } }),
      );
    }
    case 'deadline': {
      const isFull = random.chance(0.5);
      const deadlineMs = random.pick([0, 10, 30, 60, 100]);
      return logged(`collect${isFull ? ' in full' : ''} for ${deadlineMs} ms`, () =>
        client.collect(isFull, { deadlineMs }),
      );
    }
    case 'erase':
      return logged('erase', () => client.collect(true, { erase: true }));
    case 'audit': {
      const repair = random.chance(0.8);
      const sample = random.pick([1, 1, 0.5, 0]);
      return logged(`audit${repair ? ' and repair' : ''}, ${sample} read`, () =>
        client.audit(repair, sample),
      );
    }
    case 'damage': {
      const part = random.fraction();
      return logged('damage', async () => {
        const stored = [...simulation.checker.data.keys()];
        const dataKey = stored[Math.floor(part * stored.length)];
        if (dataKey !== undefined) simulation.damage(dataKey);
      });
    }
  }
}
