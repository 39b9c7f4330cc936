import type { ManifestKey, NewSegment } from '../../src/backends/contract/manifests.ts';
import type { Actor } from './actor.ts';
import { SEGMENTS, type TrackedWrite } from './operations.ts';
import type { SeededRandom } from './random.ts';
import { EPOCH } from './simulated-process.ts';
import type { Theme } from './themes.ts';
import type { World } from './world.ts';

/** What a process does at once, one operation after the other. */
export type Lane = readonly { readonly waits: number; readonly operation: () => Promise<void> }[];

/** Everything that the operations of a schedule are about. */
export interface Universe {
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
 * When things expire, in ms since the beginning: long before it, soon, after the schedule's end,
 * and after everything.
 */
const EXPIRIES = [-1000, 30, 100, 1000, 10_000, 1e9];

export function drawUniverse(random: SeededRandom, theme: Theme): Universe {
  const keys = theme.isOfPins ? PINS : KEYS;
  return {
    keys: keys.slice(0, random.pick(theme.keys)),
    segments: SEGMENTS.slice(0, random.pick(theme.segments)),
  };
}

/** What is there when a schedule begins: every key, some of it about to expire, some of it held. */
export async function furnish(
  { register }: World,
  actor: Actor,
  random: SeededRandom,
  theme: Theme,
  { keys, segments }: Universe,
): Promise<void> {
  for (const key of keys) {
    const entries = [random.sample(segments, 2)];
    const expiresAt = theme.isOfPins ? EPOCH + random.pick(EXPIRIES) : undefined;
    await actor.commit([
      register.put(key, 'replace', entries, expiresAt === undefined ? {} : { expiresAt }),
    ]);
    if (theme.isOfPins && random.chance(0.3)) await actor.commit([register.hold(key, true)]);
  }
}

export function drawLane(
  world: World,
  actor: Actor,
  random: SeededRandom,
  theme: Theme,
  universe: Universe,
  tell: (line: string) => void,
): Lane {
  return Array.from({ length: random.pick([1, 2, 3]) }, () => {
    const waits = theme.isSlow
      ? random.pick([0, 0, 1000, 5000, 8000])
      : random.pick([0, 0, 0, 10, 50]);
    return { waits, operation: drawOperation(world, actor, random, theme, universe, tell) };
  });
}

function drawOperation(
  world: World,
  actor: Actor,
  random: SeededRandom,
  theme: Theme,
  { keys, segments }: Universe,
  tell: (line: string) => void,
): () => Promise<void> {
  const { register } = world;
  const key = random.pick(keys);
  const what = random.weighted(theme.operations);
  const entries = (most: number) =>
    Array.from({ length: random.between(1, most) }, () =>
      random.sample(segments, random.pick([0, 1, 1, 2])),
    );
  const say = (text: string, work: () => Promise<unknown>) => async () => {
    tell(`${text} ${key.id}`);
    await work();
  };
  const one = (write: TrackedWrite) =>
    say(`${what} (${write.bodies.length} entries, ${write.bodies[0]})`, () =>
      actor.commit([write]),
    );
  switch (what) {
    case 'put':
      return one(register.put(key, 'replace', entries(2)));
    case 'error':
    case 'skip':
      return one(register.put(key, what, entries(2)));
    case 'expiring': {
      const expiresAt = EPOCH + random.pick(EXPIRIES);
      return one(
        random.chance(0.7)
          ? register.put(key, 'replace', entries(2), { expiresAt })
          : register.append(key, entries(1), { expiresAt }),
      );
    }
    case 'append': {
      const isNamed = random.chance(0.5);
      const write = register.append(
        key,
        entries(2),
        isNamed ? { idempotencyKey: `key ${random.name(4)}` } : {},
      );
      write.mayRepeat = isNamed && random.chance(0.7);
      return say(`append${isNamed ? ' with a key' : ''} (${write.bodies[0]})`, async () => {
        await actor.commit([write]);
        if (write.mayRepeat) await actor.commit([write]);
      });
    }
    case 'delete':
      return one(register.delete(key));
    case 'hold':
      return one(register.hold(key, true));
    case 'lift':
      return one(register.hold(key, false));
    case 'several': {
      const writes = random
        .sample(keys, 3)
        .map((each) => register.put(each, 'replace', entries(1)));
      return say('several puts', () => actor.commit(writes));
    }
    case 'publish': {
      const write = register.put(key, 'replace', entries(3));
      return say(`publish (${write.bodies[0]})`, () => actor.publish(write));
    }
    case 'revised': {
      const isDelete = random.chance(0.4);
      const drawn = entries(1);
      return say('read, then write at that revision', async () => {
        const ifRevision = await actor.read(key);
        if (ifRevision === undefined) return;
        await actor.commit([
          isDelete
            ? register.delete(key, ifRevision)
            : register.put(key, 'replace', drawn, { ifRevision }),
        ]);
      });
    }
    case 'prune':
      return say('prune', () => actor.prune(key.kind));
    case 'read':
      return say('read', () => actor.read(key));
    case 'list':
      return say('list', () => actor.list(key.kind));
    case 'collect': {
      const isFull = random.chance(0.6);
      return say(`collect${isFull ? ' in full' : ''}`, () => actor.collect(isFull));
    }
    case 'shard': {
      const isFull = random.chance(0.5);
      const count = random.pick([2, 3]);
      const index = random.between(0, count - 1);
      return say(`collect${isFull ? ' in full' : ''} shard ${index} of ${count}`, () =>
        actor.collect(isFull, { shard: { index, count } }),
      );
    }
    case 'hurry': {
      const isFull = random.chance(0.5);
      const deadlineMs = random.pick([0, 10, 30, 60, 100]);
      return say(`collect${isFull ? ' in full' : ''} for ${deadlineMs} ms`, () =>
        actor.collect(isFull, { deadlineMs }),
      );
    }
    case 'erase':
      return say('erase', () => actor.collect(true, { erase: true }));
    case 'audit': {
      const repair = random.chance(0.8);
      const sample = random.pick([1, 1, 0.5, 0]);
      return say(`audit${repair ? ' and repair' : ''}, ${sample} read`, () =>
        actor.audit(repair, sample),
      );
    }
    case 'damage': {
      const part = random.fraction();
      return say('damage', async () => {
        const stored = [...world.watch.data.keys()];
        const dataKey = stored[Math.floor(part * stored.length)];
        if (dataKey !== undefined) world.damage(dataKey);
      });
    }
  }
}
