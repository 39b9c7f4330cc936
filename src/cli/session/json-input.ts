import { VarveError } from '../../core/errors.ts';

/**
 * Parses a JSON document that the user gave.
 *
 * @throws `MALFORMED_INPUT` with the source's name.
 */
export function parseJson(bytes: Buffer, source: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : 'not valid UTF-8';
    throw new VarveError('MALFORMED_INPUT', `${source}: not a JSON document: ${reason}`, { cause });
  }
}
