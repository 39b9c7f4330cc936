import { statSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where in a home caches are, on systems that have another place for them than Linux. */
const CACHES: Readonly<Record<string, string>> = {
  darwin: 'Library/Caches',
  win32: 'AppData/Local',
};

/** What Node has since 22.1. It does nothing where `NODE_DISABLE_COMPILE_CACHE` is set. */
interface CompileCache {
  readonly enableCompileCache?: (folder: string) => unknown;
}

/**
 * Lets Node keep the compiled code of this command line in the user's cache folder. Without it, or
 * where nothing can be written there, everything works the same.
 */
export function enableCompileCache(): void {
  const { enableCompileCache: enable } = module as CompileCache;
  if (enable === undefined) return;
  try {
    const folder = cacheFolder();
    if (folder !== undefined) enable(folder);
  } catch {
    // There is no home, for example.
  }
}

/**
 * Not Node's default in the folder for temporary files: others may put code there. `undefined` in
 * the folder of another user, which sudo may leave in the environment.
 */
function cacheFolder(): string | undefined {
  const given = process.env['XDG_CACHE_HOME'] || undefined;
  const home = given ?? homedir();
  if (statSync(home).uid !== (process.getuid?.() ?? 0)) return undefined;
  return join(given ?? join(home, CACHES[process.platform as string] ?? '.cache'), 'varve');
}
