import { createRequire } from 'node:module';
import type { z } from 'zod';

/** What zod exports as `z`. */
export type Zod = typeof z;

let loaded: Zod | undefined;

/**
 * zod, loaded at the first call: it takes longer to load than a small store to open. Loaded
 * synchronously, so that a call reads its options before it returns.
 */
export function loadZod(): Zod {
  loaded ??= (createRequire(import.meta.url)('zod') as { readonly z: Zod }).z;
  return loaded;
}

/** Spares {@link loadZod} a second copy where zod was imported for something else. */
export function provideZod(zod: Zod): void {
  loaded ??= zod;
}
