import { MemoryObjectStore } from '../storage/memory-store.ts';
import type { ObjectBackend } from './object-backend.ts';
import { type OpenObjectsOptions, openObjects } from './open-objects.ts';

const NAMED = new Map<string, MemoryObjectStore>();

/** Opens the store with a name in this process's memory; without a name, a new one. */
export function openMemory(name: string, options: OpenObjectsOptions): Promise<ObjectBackend> {
  if (name === '') return openObjects(new MemoryObjectStore(), options);
  let store = NAMED.get(name);
  if (store === undefined) {
    store = new MemoryObjectStore({ location: `memory:${name}` });
    NAMED.set(name, store);
  }
  return openObjects(store, options);
}
