import { checkText } from './arguments.ts';
import { VarveError } from './errors.ts';

/** Longest condition, in bytes of UTF-8. */
const MAX_CONDITION_BYTES = 64 * 1024;

/** A value at a path in a conversation, and what it must equal. */
export interface WhereCondition {
  /** Keys from the outermost in, such as `['metadata', 'tenant']`; for arrays, positions. */
  readonly path: readonly string[];
  /**
   * Compared as text: `3`, `'3'`, and a stored `3` or `"3"` are all equal. Objects and arrays equal
   * nothing.
   */
  readonly equals: string | number | boolean | null;
}

/** Whether a conversation meets a condition. */
export function meets(conversation: object, { path, equals }: WhereCondition): boolean {
  let value: unknown = conversation;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false;
    value = (value as Record<string, unknown>)[key];
  }
  return (typeof value !== 'object' || value === null) && String(value) === String(equals);
}

/**
 * Parses `metadata.tenant=acme`: a path of keys with dots between them (`\.` is a dot in a key,
 * `\=` an equals sign, `\\` a backslash), an equals sign, and the value, which may be empty.
 *
 * ```ts
 * const where = [parseWhere('metadata.tenant=acme')];
 * for await (const { id } of store.prune.plan({ where })) console.log(id);
 * ```
 *
 * @throws `INVALID_ARGUMENT` when it is malformed.
 */
export function parseWhere(text: string): WhereCondition {
  checkText('a condition', text, { least: 0, most: MAX_CONDITION_BYTES });
  const path = [''];
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '=' && !path.includes('')) return { path, equals: text.slice(at + 1) };
    if (character === '=') break;
    if (character === '.') path.push('');
    else path[path.length - 1] += character === '\\' ? (text[++at] ?? '') : character;
  }
  throw new VarveError(
    'INVALID_ARGUMENT',
    `not a condition: ${JSON.stringify(text)}; write metadata.key=value`,
  );
}

export function whereText({ path, equals }: WhereCondition): string {
  return `${path.map((key) => key.replace(/[\\.=]/g, '\\$&')).join('.')}=${equals}`;
}
