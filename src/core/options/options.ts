import { reading, shown } from '../arguments.ts';
import { VarveError } from '../errors.ts';
import type { Agreement, OptionsRead, RequiredKey } from './option-agreement.ts';
import { describeFault, type OptionFault } from './option-faults.ts';
import { type Kinds, OPTION_KINDS, type OptionKinds, readMembers } from './option-kinds.ts';

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
  return <Members extends Kinds, const Defaults extends Partial<Interface> = Record<never, never>>(
    declaration: Declaration<Interface, Members, Defaults> & Agreement<Interface, Members>,
  ): DeclaredOptions<Interface, Defaults> => new DeclaredOptions(declaration);
}

interface Declaration<Interface, Members extends Kinds, Defaults> {
  /** The kind of each option. */
  readonly members: (is: OptionKinds) => Members;
  readonly defaults?: Defaults;
  /** Names of required options. */
  readonly required?: readonly RequiredKey<Interface>[];
  /** Names of options whose values no message may show. */
  readonly secret?: readonly (keyof Interface & string)[];
}

/** Options after declaration. */
export class DeclaredOptions<Interface extends object, Defaults> {
  /** The values of omitted options. */
  readonly defaults: Readonly<Defaults>;
  readonly #members: Kinds;
  readonly #required: readonly string[];
  readonly #secret: readonly string[];

  constructor(declaration: Declaration<Interface, Kinds, Defaults>) {
    const { members, defaults, required = [], secret = [] } = declaration;
    this.defaults = Object.freeze({ ...(defaults as Defaults) });
    this.#members = members(OPTION_KINDS);
    this.#required = required as readonly string[];
    this.#secret = secret;
  }

  /**
   * Checks a caller's options and adds defaults for omitted ones. A member that is `undefined`
   * counts as omitted.
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
    const faults: OptionFault[] = [];
    const named = given as Readonly<Record<string, unknown>>;
    const read = readMembers(this.#members, this.#required, named, [], faults);
    if (faults.length === 0) return read;
    const clauses = faults.map((fault) => describeFault(fault, this.#secret));
    throw new VarveError('INVALID_ARGUMENT', `${call}: ${clauses.join('; ')}`);
  }
}

function notOptions(call: string, options: unknown): VarveError {
  const hint = options instanceof AbortSignal ? 'give { signal }' : 'give { name: value }';
  return new VarveError(
    'INVALID_ARGUMENT',
    `${call}: the options are ${shown(options)}, not an object: ${hint}`,
  );
}
