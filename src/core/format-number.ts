import { VarveError } from './errors.ts';

/**
 * Formats, codecs and sets of flags are numbered from 1. A number up to this one may come with a
 * later version; a greater one is damage.
 */
const HIGHEST_TO_COME = 15;

/**
 * The error for a number that this version does not know: `UNSUPPORTED_FORMAT` where a later
 * version may have written it, 2 to 15; `CORRUPT` for any other.
 *
 * @param what names what was read: its file and offset, or its key.
 * @param name of the number: `frame format`.
 */
export function unknownNumber(what: string, name: string, number: unknown): VarveError {
  const mayCome =
    Number.isInteger(number) && Number(number) >= 2 && Number(number) <= HIGHEST_TO_COME;
  return mayCome
    ? new VarveError(
        'UNSUPPORTED_FORMAT',
        `${what}: ${name} ${number} is newer than this version of Varve: install a newer version`,
      )
    : new VarveError('CORRUPT', `${what}: damaged: there is no ${name} ${JSON.stringify(number)}`);
}
