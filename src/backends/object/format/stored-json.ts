import { z } from 'zod';
import { VarveError } from '../../../core/errors.ts';
import { unknownNumber } from '../../../core/format-number.ts';
import { parseJson } from '../../../core/json.ts';

/** A format of stored JSON. */
export interface JsonFormat<Value> {
  /** Its name in errors. */
  readonly name: string;
  /** A strict schema: it allows no other fields. */
  readonly schema: z.ZodType<Value>;
  /** The field with the version. Default: `v`. */
  readonly numbered?: string;
  /** The newest version that the schema allows. Default: 1. */
  readonly newest?: number;
}

/**
 * Reads JSON of a format. Refuses fields that its version does not have: a later version wrote them
 * (rule `keep-later-versions`).
 *
 * @param what names the object in errors: its key.
 * @throws `UNSUPPORTED_FORMAT` for what a newer Varve wrote; `CORRUPT`.
 */
export function decodeJson<Value>(
  body: Uint8Array,
  format: JsonFormat<Value>,
  what: string,
): Value {
  const { name, schema, numbered = 'v', newest = 1 } = format;
  const refuse = (cause: unknown) => new VarveError('CORRUPT', `${what}: not JSON`, { cause });
  const value = parseJson(body, refuse);
  const version = (value as Record<string, unknown> | null)?.[numbered];
  if (typeof version === 'number' && !(version >= 1 && version <= newest))
    throw unknownNumber(what, `${name} format`, version);
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const unknown = unknownFields(error.issues);
  if (unknown.length === 0)
    throw new VarveError('CORRUPT', `${what}: not a ${name}: ${z.prettifyError(error)}`);
  throw new VarveError(
    'UNSUPPORTED_FORMAT',
    `${what}: the ${name} has fields that this version of Varve does not know ` +
      `(${unknown.join(', ')}): ` +
      'install a newer version',
  );
}

/**
 * @throws `INTERNAL` unless {@link decodeJson} can read the value again: nothing else is ever
 *   stored.
 */
export function assertReadable<Value>(
  value: unknown,
  { name, schema }: JsonFormat<Value>,
  what: string,
): void {
  const { success, error } = schema.safeParse(value);
  if (success) return;
  throw new VarveError(
    'INTERNAL',
    `${what}: nothing was written, because the ${name} would be unreadable: ` +
      `${z.prettifyError(error)}`,
  );
}

function unknownFields(issues: readonly z.core.$ZodIssue[]): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return issue.keys;
    return issue.code === 'invalid_union' ? issue.errors.flatMap(unknownFields) : [];
  });
}
