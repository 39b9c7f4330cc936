import type { ListFilter } from '../backends/manifests.ts';
import { VarveError } from '../errors.ts';

/** @throws `INVALID_ARGUMENT` unless `value` is one of `choices`, or absent. */
export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (value !== undefined && !choices.includes(value as string)) {
    throw new VarveError('INVALID_ARGUMENT', `${name} is ${choices.join(', ')}; not ${shown(value)}`);
  }
}

/** @throws `INVALID_ARGUMENT` unless `value` is a number (not NaN) of at least `least`, or absent. */
export function checkNumber(name: string, value: unknown, least = Number.NEGATIVE_INFINITY): void {
  if (value !== undefined && !(typeof value === 'number' && value >= least)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${name} is a number${least >= 0 ? ` from ${least} on` : ''}; not ${shown(value)}`,
    );
  }
}

/** @throws `INVALID_ARGUMENT` unless `value` is a string, or absent. */
export function checkString(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'string') {
    throw new VarveError('INVALID_ARGUMENT', `${name} is a string; not ${shown(value)}`);
  }
}

/** @throws `INVALID_ARGUMENT` for a filter that would silently match nothing or everything. */
export function checkListFilter({ application, model, since, until, held, order }: ListFilter): void {
  checkString('application', application);
  checkString('model', model);
  checkNumber('since (ms since the epoch)', since);
  checkNumber('until (ms since the epoch)', until);
  if (held !== undefined && typeof held !== 'boolean') {
    throw new VarveError('INVALID_ARGUMENT', `held is true or false; not ${shown(held)}`);
  }
  checkChoice('order', order, ['archived', 'oldest', 'newest']);
}

function shown(value: unknown): string {
  return typeof value === 'object' ? Object.prototype.toString.call(value) : (JSON.stringify(value) ?? String(value));
}
