import type { Backend } from './backends/contract/backend.ts';
import { LocalBackend } from './backends/local/local-backend.ts';
import type { salvageLocal } from './backends/local/salvage/salvage.ts';
import type { S3Config } from './backends/storage/s3/s3-location.ts';
import { invalid } from './core/arguments.ts';
import { isObjectLocation, memoryName, type ObjectLocation, pathOf } from './location.ts';
import type { OpenOptions } from './open-options.ts';

export { examine as examineDirectory } from './backends/local/operations/doctor.ts';
export { restoreBackup as restoreDirectory } from './backends/local/operations/restore.ts';

/**
 * Opens the backend at a location. Nothing but this file knows concrete backends.
 *
 * @throws as `openStore`.
 */
export async function openBackend(
  location: string | S3Config,
  options: OpenOptions,
): Promise<Backend> {
  if (isObjectLocation(location)) return openObjects(location, options);
  refuseOptions(options, 'objects', 'a directory');
  return openDirectory(pathOf(location), options);
}

/** Opens the store in the directory at a path. */
export async function openDirectory(path: string, options: OpenOptions = {}): Promise<Backend> {
  const { create, readOnly, signal, local = {} } = options;
  return LocalBackend.open(path, { create, readOnly, signal, ...local });
}

/** Rebuilds a store from its packs. Few processes need it, so it is imported here. */
export async function salvageDirectory(
  ...given: Parameters<typeof salvageLocal>
): ReturnType<typeof salvageLocal> {
  const salvage = await import('./backends/local/salvage/salvage.ts');
  return salvage.salvageLocal(...given);
}

/** Imports the backend here, because the SDK takes longer to load than a local store to open. */
async function openObjects(location: ObjectLocation, options: OpenOptions): Promise<Backend> {
  refuseOptions(options, 'local', 'objects');
  const { create, readOnly, onWarning, onEvent, signal, objects = {} } = options;
  const settings = { create, readOnly, onWarning, onEvent, signal, ...objects };
  const name = memoryName(location);
  if (name !== undefined) {
    const { openMemory } = await import('./backends/object/open-memory.ts');
    return openMemory(name, settings);
  }
  const { openS3 } = await import('./backends/object/open-s3.ts');
  return openS3(location, settings);
}

/** Refuses options that would do nothing: they are a mistake. */
function refuseOptions(options: OpenOptions, name: 'local' | 'objects', kind: string): void {
  if (options[name] !== undefined)
    throw invalid(`options.${name} is not for a store of ${kind}: leave it out`);
}
