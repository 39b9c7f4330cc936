import { readFileSync } from 'node:fs';

/** What the build puts in the place of this name. */
declare const BUNDLED_VERSION: string | undefined;

/** The version of this package. */
export function version(): string {
  return typeof BUNDLED_VERSION === 'string' ? BUNDLED_VERSION : versionOfSources();
}

function versionOfSources(): string {
  const file = new URL('../../package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).version;
}
