import { describe, expectTypeOf, it } from 'vitest';
import type { OptionKinds } from '../../src/option-kinds.ts';
import { declareOptions } from '../../src/options.ts';

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
      members: (is: OptionKinds) => ({ signal: is.signal, policy: is.oneOf('error', 'skip', 'replace') }),
    });
    // @ts-expect-error a string is no signal
    declareOptions<Pick<Plain, 'signal'>>()({ members: (is: OptionKinds) => ({ signal: is.text }) });
    // @ts-expect-error in a group
    declareOptions<Pick<Plain, 'signal' | 'spin'>>()({
      members: (is: OptionKinds) => ({ signal: is.signal, spin: is.group({ turns: is.text }) }),
    });
  });

  it('when a default is none of the values', () => {
    declareOptions<Pick<Plain, 'signal' | 'policy'>>()({
      // @ts-expect-error no such choice
      defaults: { policy: 'replace' },
      members: (is: OptionKinds) => ({ signal: is.signal, policy: is.oneOf('error', 'skip') }),
    });
  });

  it('when it does not name those that may not be left out, or what needs no zod instead of a signal', () => {
    // @ts-expect-error required
    declareOptions<{ readonly signal?: AbortSignal; readonly every: string }>()({
      members: (is: OptionKinds) => ({ signal: is.signal, every: is.text }),
    });
    // @ts-expect-error plain
    declareOptions<{ readonly name?: string }>()({ members: (is: OptionKinds) => ({ name: is.text }) });
  });
});
