import { describe, expect, expectTypeOf, it } from 'vitest';
import type { OptionKinds } from '../../src/core/options/option-kinds.ts';
import { declareOptions } from '../../src/core/options/options.ts';
import { openStore, parseDuration, type Retention } from '../../src/index.ts';

/** Held by the TypeScript compiler (`npm run types`): each `@ts-expect-error` must be one. */

interface Plain {
  readonly signal?: AbortSignal | undefined;
  readonly policy?: 'error' | 'skip' | undefined;
  readonly spin?: { readonly turns?: number | undefined } | undefined;
}

describe('a declaration that differs from its interface does not compile', () => {
  it('when it has the same members it does', () => {
    const declared = declareOptions<Plain>()({
      defaults: { policy: 'error' },
      members: (is: OptionKinds) => ({
        signal: is.signal,
        policy: is.oneOf('error', 'skip'),
        spin: is.group({ turns: is.number(0) }),
      }),
    });
    const read = declared.read('wash', {});
    // An option that has a default is always there.
    expectTypeOf(read.policy).toEqualTypeOf<'error' | 'skip'>();
    expectTypeOf(read.signal).toEqualTypeOf<AbortSignal | undefined>();
  });

  it('when a member is missing', () => {
    // @ts-expect-error spin
    declareOptions<Plain>()({
      members: (is: OptionKinds) => ({ signal: is.signal, policy: is.oneOf('error', 'skip') }),
    });
  });

  it('when there is one more', () => {
    // @ts-expect-error soak
    declareOptions<Pick<Plain, 'signal'>>()({
      members: (is: OptionKinds) => ({ signal: is.signal, soak: is.duration }),
    });
  });

  it('when the values are others, more or fewer', () => {
    // @ts-expect-error fewer choices
    declareOptions<Pick<Plain, 'signal' | 'policy'>>()({
      members: (is: OptionKinds) => ({ signal: is.signal, policy: is.oneOf('error') }),
    });
    // @ts-expect-error more choices
    declareOptions<Pick<Plain, 'signal' | 'policy'>>()({
      members: (is: OptionKinds) => ({
        signal: is.signal,
        policy: is.oneOf('error', 'skip', 'replace'),
      }),
    });
    // @ts-expect-error a string is not a signal
    declareOptions<Pick<Plain, 'signal'>>()({
      members: (is: OptionKinds) => ({ signal: is.text }),
    });
    // @ts-expect-error in a group
    declareOptions<Pick<Plain, 'signal' | 'spin'>>()({
      members: (is: OptionKinds) => ({ signal: is.signal, spin: is.group({ turns: is.text }) }),
    });
  });

  it('when a default is not one of the values', () => {
    declareOptions<Pick<Plain, 'signal' | 'policy'>>()({
      // @ts-expect-error no such choice
      defaults: { policy: 'replace' },
      members: (is: OptionKinds) => ({ signal: is.signal, policy: is.oneOf('error', 'skip') }),
    });
  });

  it('when it does not name those that may not be left out', () => {
    // @ts-expect-error required
    declareOptions<{ readonly signal?: AbortSignal; readonly every: string }>()({
      members: (is: OptionKinds) => ({ signal: is.signal, every: is.text }),
    });
  });
});

describe('types say before a program runs', () => {
  it('what a duration is', async () => {
    const store = await openStore('memory:');
    await store.gc.run({ grace: '24h' });
    await store.gc.run({ grace: '1.5d', deadline: 60_000 });
    await store.gc.run({ grace: '30m' });
    // @ts-expect-error no duration
    await expect(store.gc.run({ grace: 'soon' })).rejects.toThrow('grace is "soon"');
    // @ts-expect-error no unit
    await expect(store.gc.run({ grace: '24' })).rejects.toThrow('grace is "24"');
    // @ts-expect-error no such unit
    await expect(store.gc.run({ grace: '3months' })).rejects.toThrow('grace is "3months"');
    expectTypeOf<'3mo' | '3min' | '1y' | '0' | 0>().toExtend<Retention>();
    expectTypeOf<'3m'>().not.toExtend<Retention>();
    // What comes from elsewhere is read first.
    const given: string = '90d';
    expect(parseDuration(given)).toBe(90 * 86_400_000);
    await store.close();
  });

  it('that a prune needs a criterion, and how old is unambiguous', async () => {
    const store = await openStore('memory:');
    store.prune.plan({ olderThan: '90d' });
    store.prune.plan({ where: [{ path: ['metadata', 'tenant'], equals: 'acme' }], now: 0 });
    // @ts-expect-error no criterion
    expect(() => store.prune.run({})).toThrow('without a criterion');
    // @ts-expect-error how to count is not a criterion
    expect(() => store.prune.run({ now: 0 })).toThrow('without a criterion');
    // @ts-expect-error minutes or months
    expect(() => store.prune.run({ olderThan: '3m' })).toThrow(
      'minutes are 3min, months of 30 days are 3mo',
    );
    // @ts-expect-error misspelt
    expect(() => store.prune.run({ olderThan: '90d', keeplast: 5 })).toThrow(
      'did you mean "keepLast"?',
    );
    await store.close();
  });

  it('what a conversation has', async () => {
    const store = await openStore('memory:');
    const { conversations } = store;
    await conversations.put({
      id: 'a',
      messages: [{ role: 'user', content: 'Hello' }],
      metadata: { tenant: 'acme' },
    });
    const common = await conversations.get('a');
    expectTypeOf(common?.id).toEqualTypeOf<string | undefined>();
    expectTypeOf(common?.messages?.[0]?.role).toEqualTypeOf<string | undefined>();
    expectTypeOf(common?.metadata).toEqualTypeOf<unknown>();
    expect(common?.messages?.[0]?.content).toBe('Hello');
    // @ts-expect-error may not be there
    expect(common.id).toBe('a');
    interface Own {
      readonly id: string;
      readonly metadata: { readonly tenant: string };
    }
    const own = await conversations.get<Own>('a', { revision: 1 });
    expectTypeOf(own).toEqualTypeOf<Own | undefined>();
    expect(own?.metadata.tenant).toBe('acme');
    await store.close();
  });
});
