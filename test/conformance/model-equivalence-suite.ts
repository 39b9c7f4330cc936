import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import {
  MANIFEST_KINDS,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
  type NewSegment,
  type Revision,
  type WriteOutcome,
} from '../../src/backends/contract/manifests.ts';
import {
  append,
  auditOf,
  codeOf,
  contentOf,
  hold,
  put,
  remove,
  segment,
  stream,
  tokens,
  withoutBytes,
} from './builders.ts';
import type { ConformanceOptions } from './fixture.ts';
import { ModelBackend } from './model-backend.ts';

/** What writes are called that have stored something. */
const STORING: ReadonlySet<string> = new Set(['created', 'replaced', 'appended']);
const KEYS: readonly ManifestKey[] = ['x', 'X', 'y/../x', '\0']
  .map((id): ManifestKey => ({ kind: 'conversation', id }))
  .concat({ kind: 'pin', id: 'x' }, { kind: 'blob', id: 'x' });
const SEGMENTS: readonly NewSegment[] = [
  segment(''),
  segment('a'),
  segment('text'),
  segment('text '.repeat(1000)),
  segment(Buffer.alloc(70_000, 'wide')),
  tokens([]),
  tokens([1, 2, 3]),
  tokens(Array.from({ length: 3000 }, (_, i) => i * 1_000_003)),
];

const oneEntry = fc.record({
  body: fc
    .constantFrom('', 'body', 'other body', 'long '.repeat(300))
    .map((body) => Buffer.from(body)),
  segments: fc.array(fc.constantFrom(...SEGMENTS), { maxLength: 4 }),
});
const entries = fc.array(oneEntry, { maxLength: 4 });
const key = fc.constantFrom(...KEYS);
const optionalFields = {
  application: fc.constantFrom('a', 'b'),
  model: fc.constantFrom('m', 'n'),
  createdAt: fc.integer({ min: 0, max: 3 }),
};
/** A creation time always: what a commit made of the clock cannot be compared. */
const fields = fc.record(
  { ...optionalFields, logicalBytes: fc.nat(1000) },
  { requiredKeys: ['logicalBytes', 'createdAt'] },
);
/**
 * Which of the revisions seen so far a write expects; negative: none. Later ones are likelier to be
 * current.
 */
const expected = fc.integer({ min: -4, max: 2 });
const ifExists = fc.constantFrom('error' as const, 'skip' as const, 'replace' as const);

type Planned = { readonly expected: number; readonly write: ManifestWrite };
const plannedPut: fc.Arbitrary<Planned> = fc
  .record({ key, entries, ifExists, fields, expected })
  .map((given) => ({ expected: given.expected, write: put(given.key, given.entries, given) }));
const plannedAppend: fc.Arbitrary<Planned> = fc
  .record({
    key,
    entries: fc.array(oneEntry, { minLength: 1, maxLength: 4 }),
    expected,
    logicalBytes: fc.nat(50),
    idempotencyKey: fc.option(fc.constantFrom('k', 'l'), { nil: undefined }),
    fields: fc.record(optionalFields, { requiredKeys: [] }),
  })
  .map((given) => ({
    expected: given.expected,
    write: append(given.key, given.entries, {
      logicalBytes: given.logicalBytes,
      fields: given.fields,
      ...(given.idempotencyKey === undefined ? {} : { idempotencyKey: given.idempotencyKey }),
    }),
  }));
const plannedDelete: fc.Arbitrary<Planned> = fc
  .record({ key, expected })
  .map((given) => ({ expected: given.expected, write: remove(given.key) }));
const plannedHold: fc.Arbitrary<Planned> = fc
  .record({ key, expected, held: fc.boolean(), reason: fc.constantFrom(undefined, '', 'why') })
  .map((given) => ({ expected: given.expected, write: hold(given.key, given.held, given.reason) }));
const planned = fc.oneof(
  { weight: 4, arbitrary: plannedPut },
  { weight: 3, arbitrary: plannedAppend },
  { weight: 2, arbitrary: plannedDelete },
  { weight: 1, arbitrary: plannedHold },
);

type Step =
  | { readonly step: 'commit'; readonly writes: readonly Planned[] }
  | { readonly step: 'commit without bytes'; readonly write: Planned }
  | { readonly step: 'publish'; readonly write: Planned }
  | { readonly step: 'collect'; readonly full: boolean }
  | { readonly step: 'reopen' };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        step: fc.constant('commit' as const),
        writes: fc.array(planned, { maxLength: 5 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ step: fc.constant('commit without bytes' as const), write: planned }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ step: fc.constant('publish' as const), write: plannedPut }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ step: fc.constant('collect' as const), full: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ step: fc.constant('reopen' as const) }) },
  ),
  { maxLength: 20, size: 'max' },
);

/** The same revision as the model and the other backend call it. */
type RevisionPair = readonly [model: Revision | undefined, other: Revision | undefined];

export function describeModelEquivalence(options: ConformanceOptions): void {
  describe('beside the model', () => {
    test('does the same in any sequence of steps', async () => {
      await fc.assert(
        fc.asyncProperty(steps, (sequence) => replay(sequence, options)),
        {
          numRuns: options.modelRuns ?? 25,
          // A failure is looked at with its seed; shrinking long sequences of real input and output
          // takes minutes.
          interruptAfterTimeLimit: 90_000,
        },
      );
    }, 120_000);
  });
}

async function replay(sequence: readonly Step[], options: ConformanceOptions): Promise<void> {
  const opened = await options.open();
  let backend = opened.backend;
  const model = new ModelBackend(undefined, {
    countsReferencesOf: backend.capabilities.countsReferencesOf,
  });
  const revisions: RevisionPair[] = [];
  try {
    for (const each of sequence) {
      if (each.step === 'reopen') {
        if (!opened.reopen) continue;
        await backend.close();
        backend = await opened.reopen();
      } else if (each.step === 'collect') {
        await collectBoth(model, backend, each.full);
      } else {
        const [ours, theirs] = await write(each, model, backend, revisions);
        expect(theirs.map(codeOf)).toEqual(ours.map(codeOf));
        // What one write of a batch stores and the next one drops need never be stored.
        const supersedes = each.step === 'commit' && writesAKeyTwice(each.writes);
        if (!supersedes) expect(newIn(theirs)).toEqual(newIn(ours));
        ours.forEach((outcome, i) => {
          revisions.push([revisionOf(outcome), revisionOf(theirs[i] as WriteOutcome)]);
        });
        expectOneToOne(revisions);
        // A stream that came to nothing may leave segments behind for the collector, or not.
        const isFruitless =
          each.step === 'publish' && !STORING.has(codeOf(ours[0] as WriteOutcome));
        if (supersedes || isFruitless) await collectBoth(model, backend);
      }
    }
    await expectSameState(model, backend, options);
  } finally {
    await backend.close();
    await opened.dispose();
  }
}

async function collectBoth(model: Backend, other: Backend, full = false): Promise<void> {
  await model.collect({ graceMs: 0 });
  await other.collect({ graceMs: 0, full });
}

async function write(
  each: Step & { step: 'commit' | 'commit without bytes' | 'publish' },
  model: Backend,
  other: Backend,
  revisions: readonly RevisionPair[],
): Promise<[WriteOutcome[], WriteOutcome[]]> {
  const plans = each.step === 'commit' ? each.writes : [each.write];
  const run = async (backend: Backend, side: 0 | 1): Promise<WriteOutcome[]> => {
    const writes = plans.map((plan) => expecting(plan, revisions, side));
    const [first] = writes;
    if (each.step === 'publish' && first?.operation === 'put') {
      const { entries: streamed, fields: given, ...rest } = first;
      return [await backend.publish(rest, stream(streamed), () => given)];
    }
    return backend.commit(each.step === 'commit' ? writes : writes.map(bare));
  };
  return [await run(model, 0), await run(other, 1)];
}

function expecting(plan: Planned, revisions: readonly RevisionPair[], side: 0 | 1): ManifestWrite {
  const ifRevision = plan.expected < 0 ? undefined : revisions.at(-1 - plan.expected)?.[side];
  return ifRevision === undefined ? plan.write : { ...plan.write, ifRevision };
}

function bare(write: ManifestWrite): ManifestWrite {
  if (!('entries' in write)) return write;
  return {
    ...write,
    entries: write.entries.map(({ body, segments }) => ({
      body,
      segments: segments.map(withoutBytes),
    })),
  };
}

/** New segments in all: which write of a batch is the first to bring a segment is left open. */
function newIn(outcomes: readonly WriteOutcome[]): { segments: number; bytes: number } {
  let [segments, bytes] = [0, 0];
  for (const outcome of outcomes) {
    if (outcome.status === 'failed' || !STORING.has(outcome.status)) continue;
    segments += outcome.newSegments;
    bytes += outcome.newBytes;
  }
  return { segments, bytes };
}

function revisionOf(outcome: WriteOutcome): Revision | undefined {
  return outcome.status === 'failed' ? undefined : outcome.revision;
}

/** Equal revisions on one side are equal on the other. */
function expectOneToOne(revisions: readonly RevisionPair[]): void {
  for (const side of [0, 1] as const) {
    const partners = new Map<Revision, Revision | undefined>();
    for (const pair of revisions) {
      const [one, other] = [pair[side], pair[1 - side]];
      if (one === undefined) expect(other).toBeUndefined();
      else expect(partners.has(one) ? partners.get(one) : other).toBe(other);
      if (one !== undefined) partners.set(one, other);
    }
  }
}

async function expectSameState(
  model: Backend,
  other: Backend,
  { hasOwnSegments = false }: ConformanceOptions,
): Promise<void> {
  for (const each of KEYS)
    expect(await contentOf(other, each)).toEqual(await contentOf(model, each));
  for (const kind of MANIFEST_KINDS) {
    for (const order of ['archived', 'oldest'] as const) {
      expect(await comparable(other, kind, order)).toEqual(await comparable(model, kind, order));
    }
    const filtered = (backend: Backend) =>
      comparable(backend, kind, 'archived', { application: 'a', since: 1 });
    expect(await filtered(other)).toEqual(await filtered(model));
  }
  const addresses = SEGMENTS.map(({ address }) => address);
  const described = async (backend: Backend) => {
    const found = (await backend.find(addresses)).filter((locator) => locator !== undefined);
    return (await backend.describe(found)).map(({ address, length, references }) => ({
      address,
      length,
      references,
    }));
  };
  expect(await described(other)).toEqual(await described(model));
  // Not segmentBytes: how many bytes a token takes before compression is the backend's own affair.
  const { manifests, segments } = await model.usage();
  const expected = hasOwnSegments ? { manifests } : { manifests, segments };
  expect(await other.usage()).toMatchObject(expected);
  expect((await auditOf(other)).findings).toEqual([]);
}

function writesAKeyTwice(writes: readonly { readonly write: ManifestWrite }[]): boolean {
  return new Set(writes.map(({ write: { key } }) => `${key.kind}/${key.id}`)).size < writes.length;
}

async function comparable(
  backend: Backend,
  kind: ManifestKind,
  order: 'archived' | 'oldest',
  filter: { application?: string; since?: number } = {},
): Promise<unknown[]> {
  const heads: unknown[] = [];
  for await (const { revision: _, updatedAt: __, hold: held, ...head } of backend.list(kind, {
    ...filter,
    order,
  }))
    heads.push({ ...head, hold: held && { reason: held.reason } });
  return heads;
}
