import { describe, expect, it } from 'vitest';
import type { Duration, Retention } from '../../src/core/duration.ts';
import { isVarveError } from '../../src/core/errors.ts';
import type { OptionKinds } from '../../src/core/options/option-kinds.ts';
import { declareOptions } from '../../src/core/options/options.ts';

interface WashOptions {
  readonly signal?: AbortSignal | undefined;
  readonly heat?: number | undefined;
  readonly program?: 'wool' | 'linen' | undefined;
  readonly name?: string | undefined;
  readonly soak?: Duration | undefined;
  readonly keep?: Retention | undefined;
  readonly spin?: { readonly turns?: number | undefined } | undefined;
  readonly onDone?: (() => void) | undefined;
  readonly until?: number | undefined;
  readonly most?: number | undefined;
  readonly gentle?: boolean | undefined;
}

const WASH_OPTIONS = declareOptions<WashOptions>()({
  defaults: { heat: 40 },
  members: (is: OptionKinds) => ({
    signal: is.signal,
    heat: is.whole(20, 95),
    program: is.oneOf('wool', 'linen'),
    name: is.text,
    soak: is.duration,
    keep: is.retention,
    spin: is.group({ turns: is.number(0) }),
    onDone: is.callback<() => void>(),
    until: is.time,
    most: is.limit,
    gentle: is.flag,
  }),
});

const read = (options?: unknown) => WASH_OPTIONS.read('laundry.wash', options as WashOptions);

/** What reading says about invalid options. */
function told(options: unknown): string {
  try {
    read(options);
  } catch (error) {
    if (isVarveError(error, 'INVALID_ARGUMENT')) return error.message;
    throw error;
  }
  return 'taken';
}

describe('options that are declared', () => {
  it('have their defaults, and nothing for those that are left out', () => {
    const { signal } = new AbortController();
    for (const bare of [
      undefined,
      {},
      { signal: undefined },
      { heat: undefined, name: undefined },
    ]) {
      expect(read(bare)).toStrictEqual({ heat: 40 });
    }
    expect(read({ signal })).toStrictEqual({ heat: 40, signal });
    expect(read({ heat: 60, program: 'wool', spin: { turns: 0.5 } })).toStrictEqual({
      heat: 60,
      program: 'wool',
      spin: { turns: 0.5 },
    });
  });

  it('are refused when one is unknown, even without a value, with the nearest name', () => {
    expect(told({ haet: 60 })).toBe(
      'laundry.wash: there is no option "haet": did you mean "heat"?',
    );
    expect(told({ haet: undefined })).toBe(
      'laundry.wash: there is no option "haet": did you mean "heat"?',
    );
    expect(told({ Signal: new AbortController().signal })).toContain('did you mean "signal"?');
    expect(told({ spin: { turn: 1 } })).toBe(
      'laundry.wash: there is no option "spin.turn": did you mean "turns"?',
    );
    expect(told({ colour: 'red' })).toBe(
      'laundry.wash: there is no option "colour": there are ' +
        'signal, heat, program, name, soak, keep, spin, onDone, until, most, gentle',
    );
    expect(told({ toString: 1 })).toContain('there is no option "toString"');
    expect(told(JSON.parse('{"__proto__": 1}'))).toContain('there is no option "__proto__"');
  });

  it.each([
    ['a signal', { signal: 1 }, 'signal is 1; it must be an AbortSignal'],
    [
      'a controller',
      { signal: new AbortController() },
      'signal is an AbortController; it must be an AbortSignal',
    ],
    [
      'a range',
      { heat: 96 },
      'heat is 96; it must be a whole number of at least 20 and at most 95',
    ],
    ['whole numbers', { heat: 40.5 }, 'heat is 40.5; it must be a whole number'],
    [
      'not a number',
      { until: Number.NaN },
      'until is NaN; it must be a number of ms since the epoch',
    ],
    [
      'a Date',
      { until: new Date(0) },
      'until is a Date; it must be a number of ms since the epoch',
    ],
    ['a choice', { program: 'silk' }, 'program is "silk"; it must be "wool" or "linen"'],
    ['null', { program: null }, 'program is null; it must be "wool" or "linen"'],
    ['a text', { name: ['x'] }, 'name is an array of 1; it must be a string'],
    ['a flag', { gentle: 'yes' }, 'gentle is "yes"; it must be true or false'],
    ['a callback', { onDone: 'beep' }, 'onDone is "beep"; it must be a function'],
    ['a group', { spin: 5 }, 'spin is 5; it must be an object'],
    ['in a group', { spin: { turns: -1 } }, 'spin.turns is -1; it must be a number of at least 0'],
    [
      'a duration',
      { soak: 'soon' },
      'soak is "soon"; it must be a number and a unit (ms, s, min, h, d, w, mo',
    ],
    ['a negative duration', { soak: -1 }, 'soak is -1; it must be a number and a unit'],
    [
      'a fraction of a limit',
      { most: 1.5 },
      'most is 1.5; it must be a whole number of at least 0',
    ],
    [
      'a long text',
      { gentle: 'x'.repeat(99) },
      `gentle is "${'x'.repeat(60)}…"; it must be true or false`,
    ],
  ])('are refused for an invalid %s, saying what it must be', (_, options, message) => {
    expect(told(options)).toContain(`laundry.wash: ${message}`);
  });

  it('name every fault at once', () => {
    expect(told({ haet: 60, gentle: 1, name: 2 })).toBe(
      'laundry.wash: there is no option "haet": did you mean "heat"?; ' +
        'name is 2; it must be a string; gentle is 1; it must be true or false',
    );
  });

  it('refuse a bare m where something is kept for so long, and name both readings', () => {
    expect(told({ keep: '3m' })).toBe(
      'laundry.wash: keep is "3m"; it must be unambiguous: minutes are 3min, months of 30 ' +
        'days are 3mo',
    );
    for (const keep of ['3min', '3mo', '1y', '90d', '0', 0, 60_000, '90ms'])
      expect(told({ keep })).toBe('taken');
    // Who writes 90 means days.
    expect(told({ keep: 90 })).toContain(
      'keep is 90; it must be at least 60000 when it is a number, which is of ms',
    );
    expect(told({ soak: '3m' })).toBe('taken');
  });

  it('are an object', () => {
    for (const [options, what] of [
      [null, 'null'],
      [5, '5'],
      ['skip', '"skip"'],
      [[], 'an array of 0'],
      [() => {}, 'a function'],
      [Promise.resolve({}), 'a Promise'],
      [new Map(), 'a Map'],
    ] as const) {
      expect(told(options)).toContain(`laundry.wash: the options are ${what}, not an object`);
    }
    expect(told(new AbortController().signal)).toContain(
      'the options are an AbortSignal, not an object: give { signal }',
    );
  });

  it('may come from a class, and are read once', () => {
    let reads = 0;
    class Mild {
      get heat(): number {
        return reads++ === 0 ? 30 : 5000;
      }
    }
    expect(read(new Mild())).toStrictEqual({ heat: 30 });
    expect(read(Object.create({ heat: 50 }))).toStrictEqual({ heat: 50 });
    const cause = new Error('no');
    const throwing = Object.defineProperty({}, 'heat', {
      enumerable: true,
      get: () => {
        throw cause;
      },
    });
    expect(told(throwing)).toBe('laundry.wash: the options cannot be read: no');
    const hostile = new Proxy({}, { ownKeys: () => [][0] as never });
    expect(told(hostile)).toContain('laundry.wash: the options cannot be read');
  });
});
