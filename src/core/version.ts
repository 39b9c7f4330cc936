import { readFileSync } from 'node:fs';

let known: string | undefined;

/**
 * The version of this package. package.json is two folders up from both src/core and dist/core; in
 * a bundle it is missing or belongs to another package.
 */
export function version(): string {
  known ??= read();
  return known;
}

function read(): string {
  try {
    const { name, version } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    );
    return name === 'varve' ? String(version) : UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}

const UNKNOWN = 'unknown';
