import type { AbortOptions } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ObjectStore, StoredObject } from '../../storage/object-store.ts';
import {
  DESCRIPTOR_FORMAT,
  decodeDescriptor,
  encodeDescriptor,
  type ProbedService,
  type StoreDescriptor,
} from '../format/descriptor.ts';
import { DESCRIPTOR_KEY, MANIFESTS_PREFIX, SEGMENTS_PREFIX } from '../format/keys.ts';

/** A descriptor, and the object that has it. */
export interface SeenDescriptor {
  readonly descriptor: StoreDescriptor;
  readonly object: Pick<StoredObject, 'body' | 'etag' | 'serverTime' | 'servedBy'>;
}

/**
 * Reads the descriptor of a store; `undefined` where there is no store.
 *
 * @throws `UNSUPPORTED_FORMAT` when a newer Varve created it; `CORRUPT` when the descriptor is
 *   damaged, or is missing beside content.
 */
export async function findStore(
  store: ObjectStore,
  options: AbortOptions = {},
): Promise<SeenDescriptor | undefined> {
  const object = await store.get(DESCRIPTOR_KEY, options);
  if (object !== undefined)
    return { descriptor: decodeDescriptor(object.body, store.location), object };
  const content = await Promise.all(
    [SEGMENTS_PREFIX, MANIFESTS_PREFIX].map((prefix) =>
      store.list(prefix, { ...options, limit: 1 }),
    ),
  );
  if (content.every(({ objects }) => objects.length === 0)) return undefined;
  // Another process may have created the store just now.
  const later = await store.get(DESCRIPTOR_KEY, options);
  if (later !== undefined)
    return { descriptor: decodeDescriptor(later.body, store.location), object: later };
  throw new VarveError(
    'CORRUPT',
    `${store.location} has content but no ${DESCRIPTOR_KEY}: restore that object`,
  );
}

/** Creates a store where there is none; harmless where another process has just done so. */
export async function createStore(
  store: ObjectStore,
  now: number,
  probed: readonly ProbedService[] = [],
  options: AbortOptions = {},
): Promise<SeenDescriptor> {
  const descriptor: StoreDescriptor = {
    varve: 'objects',
    format: DESCRIPTOR_FORMAT,
    hash: 'sha256',
    created: new Date(now).toISOString(),
    probed: [...probed],
    // There is nothing yet that no journal names.
    journal: 'ready',
  };
  const body = encodeDescriptor(descriptor);
  const result = await store.put(DESCRIPTOR_KEY, body, { kind: 'absent' }, options);
  if (result.outcome === 'stored') return { descriptor, object: { ...result, body } };
  const found = await findStore(store, options);
  if (found !== undefined) return found;
  throw new VarveError(
    'UNAVAILABLE',
    `the store at ${store.location} could not be created: try again later`,
    {
      cause: result.outcome === 'unknown' ? result.error : undefined,
    },
  );
}

/**
 * Replaces the descriptor that was seen. Returns `undefined` when another process was faster, or
 * when it is not known whether it was replaced.
 */
export async function replaceDescriptor(
  store: ObjectStore,
  seen: SeenDescriptor,
  descriptor: StoreDescriptor,
  options: AbortOptions = {},
): Promise<SeenDescriptor | undefined> {
  const body = encodeDescriptor(descriptor);
  const condition = { kind: 'match', etag: seen.object.etag } as const;
  const result = await store.put(DESCRIPTOR_KEY, body, condition, options);
  return result.outcome === 'stored' ? { descriptor, object: { ...result, body } } : undefined;
}
