import { createRequire } from 'node:module';
import type { z } from 'zod';

/** What zod exports as `z`. */
export type Zod = typeof z;

let loaded: Zod | undefined;

/**
 * Loads zod at the first call, because that takes longer than opening a small store. Synchronous,
 * so that a call reads its options before it returns.
 */
export function loadZod(): Zod {
  loaded ??= (createRequire(import.meta.url)('zod') as { readonly z: Zod }).z;
  return loaded;
}

/** Saves {@link loadZod} from loading a second copy where zod is already imported. */
export function provideZod(zod: Zod): void {
  loaded ??= zod;
}
