import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ManifestWrite } from '../../../src/backends/contract/manifests.ts';
import { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { createStore } from '../../../src/backends/object/tables/descriptor.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { append, auditOf, contentOf, entry, put, remove } from '../../conformance/builders.ts';
import { times } from '../../thorough.ts';
import { MortalStore } from '../mortal-store.ts';
import { StandingClock } from '../standing-clock.ts';
import { TINY_PAGES } from './page-sizes.ts';

/**
 * Conversations that grow, are replaced and deleted in random order, by processes that die at any
 * request, beside collections and audits: what is stored is what a simple model has, and nothing
 * else is left in the end.
 */

const IDS = ['a', 'b'];
const TEXTS = ['one', 'two', 'three'];

type Content = { body: string; segments: string[] }[];

interface Change {
  readonly step: 'append' | 'put' | 'delete';
  readonly id: string;
  readonly body: string;
  readonly segments: string[];
  readonly idempotencyKey: string | undefined;
  /** After how many requests the process dies; `undefined`: it does not. */
  readonly dies: number | undefined;
}

type Step =
  | Change
  | { readonly step: 'collect'; readonly full: boolean }
  | { readonly step: 'audit' }
  | { readonly step: 'reopen' };

const change: fc.Arbitrary<Change> = fc.record({
  step: fc.constantFrom(...(['append', 'append', 'append', 'append', 'put', 'delete'] as const)),
  id: fc.constantFrom(...IDS),
  body: fc.string({ maxLength: 30 }),
  segments: fc.array(fc.constantFrom(...TEXTS), { maxLength: 2 }),
  idempotencyKey: fc.option(fc.constantFrom('k', 'l', 'm', 'n'), { nil: undefined }),
  dies: fc.option(fc.nat(20), { nil: undefined, freq: 3 }),
});
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: change },
    {
      weight: 2,
      arbitrary: fc.record({ step: fc.constant('collect' as const), full: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.constant({ step: 'audit' as const }) },
    { weight: 1, arbitrary: fc.constant({ step: 'reopen' as const }) },
  ),
  { minLength: 10, maxLength: 40, size: 'max' },
);

class Replay {
  readonly #clock = new StandingClock();
  readonly #objects = new MemoryObjectStore({ now: () => this.#clock.time });
  readonly #model = new Map<string, { content: Content; keys: Set<string> }>();
  #backend = this.#open(this.#objects);

  async run(sequence: readonly Step[]): Promise<void> {
    await createStore(this.#objects, this.#clock.time);
    for (const each of sequence) {
      await this.#step(each);
      for (const id of IDS)
        expect(await contentOf(this.#backend, id)).toEqual(this.#model.get(id)?.content);
    }
    await this.#end();
  }

  async #step(each: Step): Promise<void> {
    switch (each.step) {
      case 'collect':
        this.#clock.time += 60_000;
        await this.#backend.collect({ graceMs: 0, full: each.full });
        return;
      case 'audit': {
        this.#clock.time += 60_000;
        const { findings } = await auditOf(this.#backend, { repair: true });
        expect(findings.filter(({ harmful }) => harmful)).toEqual([]);
        return;
      }
      case 'reopen':
        this.#backend = this.#open(this.#objects);
        return;
      default:
        await this.#change(each);
    }
  }

  async #change(each: Change): Promise<void> {
    const { id, dies } = each;
    const write = writeOf(each);
    if (dies === undefined) {
      const [outcome] = await this.#backend.commit([write]);
      const before = this.#model.get(id);
      if (each.step === 'append' && before === undefined) expect(outcome?.status).toBe('failed');
      else if (isRepeated(each, before?.keys)) expect(outcome?.status).toBe('unchanged');
      else expect(outcome?.status).not.toBe('failed');
      this.#apply(each);
      return;
    }
    const mortal = new MortalStore(this.#objects, dies);
    await Promise.race([mortal.death, this.#open(mortal).commit([write])]);
    // It happened, or it did not.
    const stored = JSON.stringify(await contentOf(this.#backend, id));
    if (stored !== JSON.stringify(this.#model.get(id)?.content)) this.#apply(each);
  }

  #apply(each: Change): void {
    const { id, body, segments, idempotencyKey } = each;
    const before = this.#model.get(id);
    if (each.step === 'delete') this.#model.delete(id);
    else if (each.step === 'put') {
      this.#model.set(id, { content: [{ body: latin(body), segments }], keys: new Set() });
    } else if (before !== undefined && !isRepeated(each, before.keys)) {
      const keys = new Set(before.keys);
      if (idempotencyKey !== undefined) keys.add(idempotencyKey);
      this.#model.set(id, {
        content: [...before.content, { body: latin(body), segments }],
        keys,
      });
    }
  }

  /** When everything is deleted, nothing is left but tombstones. */
  async #end(): Promise<void> {
    this.#clock.time += 60 * 60_000;
    await this.#backend.commit(IDS.map((id) => remove(id)));
    for (let round = 1; round <= 2; round++) {
      this.#clock.time += 60 * 60_000;
      await this.#backend.collect({ graceMs: 0 });
    }
    expect((await auditOf(this.#backend)).findings).toEqual([]);
    const { objects } = await this.#objects.list('segments/');
    expect(objects.filter(({ key }) => !key.endsWith('.meta'))).toEqual([]);
    await this.#backend.close();
  }

  #open(objects: MemoryObjectStore | MortalStore): ObjectBackend {
    return new ObjectBackend(objects, { pageSizes: TINY_PAGES }, { clock: this.#clock });
  }
}

function writeOf({ step, id, body, segments, idempotencyKey }: Change): ManifestWrite {
  if (step === 'delete') return remove(id);
  const entries = [entry(body, ...segments)];
  if (step === 'put') return put(id, entries, { ifExists: 'replace' });
  return append(id, entries, { ...(idempotencyKey !== undefined && { idempotencyKey }) });
}

function isRepeated({ step, idempotencyKey }: Change, keys: Set<string> | undefined): boolean {
  return step === 'append' && idempotencyKey !== undefined && keys?.has(idempotencyKey) === true;
}

function latin(body: string): string {
  return Buffer.from(body).toString('latin1');
}

test('growing conversations hold what was written, whoever dies, and leave nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(steps, (sequence) => new Replay().run(sequence)),
    { numRuns: times(25, 1000), interruptAfterTimeLimit: times(60_000, 600_000) },
  );
}, 900_000);
