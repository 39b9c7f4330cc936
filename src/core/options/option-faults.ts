import { shown } from '../arguments.ts';
import { nearestName } from './nearest-name.ts';

/** What is wrong with a value, or with a name that is not one of the known. */
export type OptionFault = InvalidValue | UnknownName;

interface InvalidValue {
  readonly path: readonly PropertyKey[];
  /** `undefined` when it is missing. */
  readonly value: unknown;
  /** What it must be. */
  readonly what: string;
}

interface UnknownName {
  readonly path: readonly PropertyKey[];
  readonly known: readonly string[];
}

/**
 * Describes a fault in a clause.
 *
 * @param secret - names of options whose values no message may show.
 */
export function describeFault(fault: OptionFault, secret: readonly string[]): string {
  if ('known' in fault) return unknownOption(fault);
  const { path, value, what } = fault;
  const found =
    value === undefined ? 'missing' : secret.includes(String(path[0])) ? 'not right' : shown(value);
  return `${pathText(path)} is ${found}; it must be ${what}`;
}

/** Says that there is no option of that name, and which one may be meant. */
function unknownOption({ path, known }: UnknownName): string {
  const nearest = nearestName(String(path.at(-1)), known);
  const hint =
    nearest === undefined
      ? `there ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}`
      : `did you mean ${JSON.stringify(nearest)}?`;
  return `there is no option ${JSON.stringify(pathText(path))}: ${hint}`;
}

function pathText(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
  return steps.join('').replace(/^\./, '');
}
