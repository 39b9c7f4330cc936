import { appendFileSync } from 'node:fs';
import type { ResolveHook } from 'node:module';

/** Writes down what is imported, for the process that registers these hooks. */
let log = '';

export function initialize(file: string): void {
  log = file;
}

export const resolve: ResolveHook = async (specifier, context, next) => {
  const resolved = await next(specifier, context);
  appendFileSync(log, `${resolved.url}\n`);
  return resolved;
};
