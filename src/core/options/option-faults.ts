import type { z } from 'zod';
import { shown } from '../arguments.ts';
import { nearestName } from './nearest-name.ts';

/** Describes what is wrong with options: a clause for each fault that a schema found. */
export function faultsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodObject,
  given: object,
  secret: readonly string[],
): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => unknownOption(key, issue.path, schema));
    const [first] = issue.path;
    const value = valueAt(given, issue.path);
    const what =
      value === undefined ? 'missing' : secret.includes(String(first)) ? 'not right' : shown(value);
    return [`${pathText(issue.path)} is ${what}; it must be ${issue.message}`];
  });
}

/** Says that there is no option of that name, and which one may be meant. */
export function unknownOption(
  key: string,
  path: readonly PropertyKey[],
  schema: z.ZodObject,
): string {
  const names = namesAt(schema, path);
  const nearest = nearestName(key, names);
  const full = JSON.stringify(path.length === 0 ? key : `${pathText(path)}.${key}`);
  const hint =
    nearest === undefined
      ? `there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`
      : `did you mean ${JSON.stringify(nearest)}?`;
  return `there is no option ${full}: ${hint}`;
}

/** The names that are known at a path. */
function namesAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let at = schema;
  for (const step of [...path, undefined]) {
    while (at._zod.def.type === 'optional') at = (at as z.ZodOptional<z.ZodType>).unwrap();
    if (at._zod.def.type === 'array') at = (at as z.ZodArray<z.ZodType>).element;
    else if (at._zod.def.type !== 'object') return [];
    else if (step === undefined) return Object.keys((at as z.ZodObject).shape);
    else at = (at as z.ZodObject).shape[String(step)] as z.ZodType;
  }
  return [];
}

function valueAt(given: unknown, path: readonly PropertyKey[]): unknown {
  let value = given;
  for (const step of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[step];
  return value;
}

function pathText(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
  return steps.join('').replace(/^\./, '');
}
