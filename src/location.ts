import { fileURLToPath } from 'node:url';
import type { S3Config, S3Credentials } from './backends/storage/s3/s3-location.ts';
import { invalid, reading, shown } from './core/arguments.ts';

export type { S3Config, S3Credentials };

/** The location of a store of objects. */
export type ObjectLocation = S3Config | `s3:${string}` | `memory:${string}`;

/**
 * Reads what a caller gave as a location; the settings of one on S3 are read once.
 *
 * @throws `INVALID_ARGUMENT`.
 */
export function readLocation(location: string | URL | S3Config): string | S3Config {
  return reading('a location', () => {
    if (typeof location === 'string') return location;
    if (location instanceof URL) return location.href;
    if (typeof location === 'object' && location !== null && !Array.isArray(location))
      return { ...location };
    throw invalid(
      `a location is a path, a URL, or the configuration of a store on S3; not ${shown(location)}`,
    );
  });
}

/** Whether a location is that of a store of objects; all others are directories. */
export function isObjectLocation(location: string | S3Config): location is ObjectLocation {
  return (typeof location === 'object' && location !== null) || /^(s3|memory):/i.test(location);
}

/** The name in `memory:name`, '' in `memory:`; `undefined` for every other location. */
export function memoryName(location: ObjectLocation): string | undefined {
  return typeof location === 'string' && /^memory:/i.test(location)
    ? location.slice('memory:'.length)
    : undefined;
}

/**
 * The path of a directory that is given as a path or as a `file:` URL.
 *
 * @throws `INVALID_ARGUMENT`.
 */
export function pathOf(location: string): string {
  if (typeof location !== 'string' || location.includes('\0'))
    throw invalid('the location of a store is a path or a URL, without NUL characters');
  if (!location.isWellFormed())
    throw invalid(`a location is well-formed Unicode; not ${shown(location)}`);
  if (location === '') throw invalid('a location is empty: name a directory');
  if (location.startsWith('file:')) return filePath(location);
  // One letter is a Windows drive.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1];
  if (scheme === undefined) return location;
  throw invalid(
    `no backend for ${scheme}: locations; a store is a directory (a path or a file: URL), ` +
      's3://bucket/prefix, or memory:',
  );
}

/** `file:///absolute` is a URL; `file:./relative` is a shorthand for command lines. */
function filePath(location: string): string {
  if (!location.startsWith('file://')) return location.slice('file:'.length);
  try {
    return fileURLToPath(location);
  } catch (cause) {
    throw invalid(`not a file: URL of this machine: ${location}`, cause);
  }
}
