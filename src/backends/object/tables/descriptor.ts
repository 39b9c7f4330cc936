import { z } from 'zod';
import type { AbortOptions } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { DESCRIPTOR_KEY, SEGMENTS_PREFIX } from '../format/keys.ts';
import { decodeJson } from '../format/stored-json.ts';

/** The format that this version writes. */
const FORMAT = 1;

/**
 * `varve.json`: shows that a store is here, and how to read it. Written once, before anything else.
 */
const DESCRIPTOR = z.strictObject({
  varve: z.literal('objects'),
  format: z.int(),
  hash: z.string(),
  created: z.string(),
});

export type StoreDescriptor = z.infer<typeof DESCRIPTOR>;

/**
 * Reads the descriptor of a store; `undefined` where there is no store.
 *
 * @throws `UNSUPPORTED_FORMAT` when a newer Varve created it; `CORRUPT` when the descriptor is
 *   damaged, or is missing beside segments.
 */
export async function findStore(
  store: ObjectStore,
  options: AbortOptions = {},
): Promise<StoreDescriptor | undefined> {
  const object = await store.get(DESCRIPTOR_KEY, options);
  if (object !== undefined) return decodeDescriptor(object.body, store.location);
  const { objects } = await store.list(SEGMENTS_PREFIX, { ...options, limit: 1 });
  if (objects.length === 0) return undefined;
  throw new VarveError(
    'CORRUPT',
    `${store.location} has segments but no ${DESCRIPTOR_KEY}: restore that object`,
  );
}

/** Creates a store where there is none; harmless where another process has just done so. */
export async function createStore(
  store: ObjectStore,
  now: number,
  options: AbortOptions = {},
): Promise<StoreDescriptor> {
  const created = new Date(now).toISOString();
  const descriptor: StoreDescriptor = { varve: 'objects', format: FORMAT, hash: 'sha256', created };
  const body = Buffer.from(`${JSON.stringify(descriptor, undefined, 2)}\n`);
  const result = await store.put(DESCRIPTOR_KEY, body, { kind: 'absent' }, options);
  if (result.outcome === 'stored') return descriptor;
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

function decodeDescriptor(body: Uint8Array, location: string): StoreDescriptor {
  const what = `${location}: ${DESCRIPTOR_KEY}`;
  const descriptor = decodeJson(
    body,
    { name: 'store', schema: DESCRIPTOR, numbered: 'format' },
    what,
  );
  if (descriptor.hash === 'sha256') return descriptor;
  throw new VarveError(
    'UNSUPPORTED_FORMAT',
    `${what}: addresses are hashes by ${descriptor.hash}, which this version of Varve does ` +
      'not know: ' +
      'install a newer version',
  );
}
