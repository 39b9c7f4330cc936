import { readFileSync } from 'node:fs';

let known: string | undefined;

/** The version of this package. package.json is one folder up, from src as well as from dist. */
export function version(): string {
  known ??= String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
  return known;
}
