import { type Address, isAddress } from '../../core/address.ts';
import { checkText, invalid, reading, shown } from '../../core/arguments.ts';
import {
  type ListFilter,
  type Locator,
  MAX_NAME_BYTES,
  type ManifestKey,
  type ManifestKind,
} from './manifests.ts';
import { checkKind, takeKey } from './write-validation.ts';

const ORDERS: readonly unknown[] = ['archived', 'oldest', 'newest'];

/**
 * Reads keys from a caller, each property once.
 *
 * @throws `INVALID_ARGUMENT` for keys under which nothing can be stored.
 */
export function takeKeys(given: readonly ManifestKey[]): ManifestKey[] {
  return takeAll('keys', given, takeKey);
}

/** @throws `INVALID_ARGUMENT` unless all are addresses. */
export function takeAddresses(given: readonly Address[]): Address[] {
  return takeAll('addresses', given, (address: unknown) => {
    if (isAddress(address)) return address;
    throw invalid(`an address must be 64 lower-case hex digits, not ${shown(address)}`);
  });
}

/** @throws `INVALID_ARGUMENT` unless all have the types of locators. */
export function takeLocators(given: readonly Locator[]): Locator[] {
  return takeAll('locators', given, (locator: unknown) => {
    if (typeof locator === 'string' || typeof locator === 'number') return locator as Locator;
    throw invalid(`a locator must come from find or read, not be ${shown(locator)}`);
  });
}

/**
 * Reads the filter of a list, each property once.
 *
 * @throws `INVALID_ARGUMENT` for an unknown kind, and for a filter that would match nothing or
 *   everything by mistake.
 */
export function takeFilter(kind: ManifestKind, given: ListFilter): ListFilter {
  checkKind(kind);
  if (typeof given !== 'object' || given === null)
    throw invalid(`a filter must be an object, not ${shown(given)}`);
  const { application, model, since, until, held, order } = reading('a filter', () => ({
    ...given,
  }));
  if (application !== undefined)
    checkText('application', application, { least: 0, most: MAX_NAME_BYTES });
  if (model !== undefined) checkText('model', model, { least: 0, most: MAX_NAME_BYTES });
  for (const [name, time] of Object.entries({ since, until })) {
    if (time === undefined || (typeof time === 'number' && !Number.isNaN(time))) continue;
    throw invalid(`${name} must be a number of milliseconds since the epoch, not ${shown(time)}`);
  }
  if (held !== undefined && typeof held !== 'boolean')
    throw invalid(`held must be true or false, not ${shown(held)}`);
  if (order !== undefined && !ORDERS.includes(order)) {
    throw invalid(`order must be one of ${ORDERS.join(', ')}, not ${shown(order)}`);
  }
  return {
    ...(application !== undefined && { application }),
    ...(model !== undefined && { model }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(held !== undefined && { held }),
    ...(order !== undefined && { order }),
  };
}

function takeAll<Given, Taken>(
  what: string,
  given: readonly Given[],
  take: (each: Given) => Taken,
): Taken[] {
  return reading(what, () => {
    if (Array.isArray(given)) return Array.from(given, (each) => take(each));
    throw invalid(`${what} must be an array, not ${shown(given)}`);
  });
}
