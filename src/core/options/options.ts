import type { z } from 'zod';
import { reading, shown } from '../arguments.ts';
import { VarveError } from '../errors.ts';
import type { Agreement, OptionMembers, OptionsRead, RequiredKey } from './option-agreement.ts';
import { faultsOf, unknownOption } from './option-faults.ts';
import { type OptionKinds, optionKinds } from './option-kinds.ts';
import { loadZod } from './zod-loader.ts';

/**
 * Declares options: an interface documents them, a declaration beside it gives the kind and the
 * default of each. A declaration that differs from its interface does not compile.
 *
 * ```ts
 * export interface WashOptions extends AbortOptions {
 *   // In degrees Celsius. Default: 40.
 *   readonly heat?: number | undefined;
 * }
 *
 * export const WASH_OPTIONS = declareOptions<WashOptions>()({
 *   defaults: { heat: 40 },
 *   members: (is: OptionKinds) => ({ heat: is.whole(20, 95), signal: is.signal }),
 * });
 *
 * const { heat, signal } = WASH_OPTIONS.read('laundry.wash', options);
 * ```
 */
export function declareOptions<Interface extends object>() {
  return <
    Members extends OptionMembers,
    const Defaults extends Partial<Interface> = Record<never, never>,
  >(
    declaration: Declaration<Interface, Members, Defaults> & Agreement<Interface, Members>,
  ): DeclaredOptions<Interface, Defaults> => new DeclaredOptions(declaration);
}

type Check = (value: unknown) => boolean;

interface Declaration<Interface, Members extends OptionMembers, Defaults> {
  /** The kind of each option; called once. */
  readonly members: (is: OptionKinds) => Members;
  readonly defaults?: Defaults;
  /** Names of required options. */
  readonly required?: readonly RequiredKey<Interface>[];
  /** Checks that need no zod, for calls that give only these options. Default: of `signal`. */
  readonly plain?: Readonly<Partial<Record<keyof Interface, Check>>>;
  /** Names of options whose values no message may show. */
  readonly secret?: readonly (keyof Interface & string)[];
}

/** Options after declaration. */
export class DeclaredOptions<Interface extends object, Defaults> {
  /** The values of omitted options. */
  readonly defaults: Readonly<Defaults>;
  readonly #declaration: Declaration<Interface, OptionMembers, Defaults>;
  readonly #plain: ReadonlyMap<string, Check>;
  #schema: z.ZodObject | undefined;

  constructor(declaration: Declaration<Interface, OptionMembers, Defaults>) {
    this.#declaration = declaration;
    this.defaults = Object.freeze({ ...(declaration.defaults as Defaults) });
    this.#plain = new Map(Object.entries(declaration.plain ?? { signal: isSignal }));
  }

  /**
   * Checks a caller's options and adds defaults for omitted ones. A member that is `undefined`
   * counts as omitted. Calls without options, or only with a signal, need no schema.
   *
   * @param call - the name of the call, for messages
   * @throws `INVALID_ARGUMENT` naming every unknown option and every invalid value.
   */
  read(call: string, options: Interface | undefined): OptionsRead<Interface, Defaults> {
    const read = reading(`${call}: the options`, () => ({
      ...this.defaults,
      ...this.#given(call, options),
    }));
    return read as unknown as OptionsRead<Interface, Defaults>;
  }

  /**
   * Options that were checked before, with defaults for what is left out. Keeps members that are
   * not declared here.
   */
  complete<Given extends Interface>(given: Given): Given & OptionsRead<Interface, Defaults> {
    const left = Object.entries(given).filter(([, value]) => value !== undefined);
    return { ...this.defaults, ...Object.fromEntries(left) } as Given &
      OptionsRead<Interface, Defaults>;
  }

  #given(call: string, options: unknown): object {
    const given = options === undefined ? {} : options;
    if (Object.prototype.toString.call(given) !== '[object Object]') throw notOptions(call, given);
    const named = given as Readonly<Record<string, unknown>>;
    return this.#readPlain(named) ?? this.#readAll(call, named);
  }

  /** Returns `undefined` when the schema has to decide. */
  #readPlain(given: Readonly<Record<string, unknown>>): object | undefined {
    // An instance of a class may have getters, which a loop over its keys does not see.
    const prototype: unknown = Object.getPrototypeOf(given);
    if (prototype !== Object.prototype && prototype !== null) return undefined;
    if (this.#declaration.required !== undefined) return undefined;
    const read: Record<string, unknown> = {};
    for (const name in given) {
      const check = this.#plain.get(name);
      if (check === undefined) return undefined;
      const value = given[name];
      if (value === undefined) continue;
      if (!check(value)) return undefined;
      read[name] = value;
    }
    return read;
  }

  #readAll(call: string, given: Readonly<Record<string, unknown>>): object {
    this.#schema ??= this.#build();
    const { shape } = this.#schema;
    const snapshot: Record<string, unknown> = {};
    for (const name in shape) {
      const value = given[name];
      if (value !== undefined) snapshot[name] = value;
    }
    const faults: string[] = [];
    // An unknown name is a mistake even when its value is undefined.
    for (const name in given)
      if (!Object.hasOwn(shape, name)) faults.push(unknownOption(name, [], this.#schema));
    const { data, error } = this.#schema.safeParse(snapshot);
    if (error === undefined && faults.length === 0) return data as object;
    faults.push(
      ...faultsOf(error?.issues ?? [], this.#schema, snapshot, this.#declaration.secret ?? []),
    );
    throw new VarveError('INVALID_ARGUMENT', `${call}: ${faults.join('; ')}`, { cause: error });
  }

  #build(): z.ZodObject {
    const zod = loadZod();
    const { members, required = [] } = this.#declaration;
    const shape: Record<string, z.ZodType> = { ...members(optionKinds(zod)) };
    for (const name of Object.keys(shape)) {
      if (!(required as readonly string[]).includes(name))
        shape[name] = (shape[name] as z.ZodType).optional();
    }
    return zod.strictObject(shape);
  }
}

function isSignal(value: unknown): boolean {
  return value instanceof AbortSignal;
}

function notOptions(call: string, options: unknown): VarveError {
  const hint = options instanceof AbortSignal ? 'give { signal }' : 'give { name: value }';
  return new VarveError(
    'INVALID_ARGUMENT',
    `${call}: the options are ${shown(options)}, not an object: ${hint}`,
  );
}
