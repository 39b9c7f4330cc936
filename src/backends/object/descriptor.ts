import { z } from 'zod';
import { VarveError } from '../../errors.ts';
import type { AbortOptions } from '../manifests.ts';
import { DESCRIPTOR_KEY, SEGMENTS_PREFIX } from './keys.ts';
import type { ObjectStore } from './object-store.ts';

/** The format that this version writes. */
const FORMAT = 1;

/** `varve.json`: says that a store is here, and how to read it. Written once, before anything else. */
const DESCRIPTOR = z.object({ varve: z.literal('objects'), format: z.int(), hash: z.string(), created: z.string() });

/**
 * Whether there is a store.
 *
 * @throws `UNSUPPORTED_FORMAT` when a newer Varve made it; `CORRUPT` when its descriptor is none, or is missing beside segments.
 */
export async function hasStore(store: ObjectStore, options: AbortOptions = {}): Promise<boolean> {
  const object = await store.get(DESCRIPTOR_KEY, options);
  if (object !== undefined) {
    checkDescriptor(object.body, store.location);
    return true;
  }
  const { objects } = await store.list(SEGMENTS_PREFIX, { ...options, limit: 1 });
  if (objects.length === 0) return false;
  throw new VarveError('CORRUPT', `${store.location} holds segments and no ${DESCRIPTOR_KEY}: restore that object`);
}

/** Makes a store where there is none; harmless where somebody else has just done so. */
export async function createStore(store: ObjectStore, now: number, options: AbortOptions = {}): Promise<void> {
  const descriptor = { varve: 'objects', format: FORMAT, hash: 'sha256', created: new Date(now).toISOString() };
  const body = Buffer.from(`${JSON.stringify(descriptor, undefined, 2)}\n`);
  const result = await store.put(DESCRIPTOR_KEY, body, { kind: 'absent' }, options);
  if (result.outcome === 'stored' || (await hasStore(store, options))) return;
  throw new VarveError('UNAVAILABLE', `the store at ${store.location} could not be created: try again later`, {
    cause: result.outcome === 'unknown' ? result.error : undefined,
  });
}

function checkDescriptor(body: Uint8Array, location: string): void {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (cause) {
    throw new VarveError('CORRUPT', `${location}: ${DESCRIPTOR_KEY} is not JSON`, { cause });
  }
  const { success, data, error } = DESCRIPTOR.safeParse(value);
  if (!success) throw new VarveError('CORRUPT', `${location}: ${DESCRIPTOR_KEY}: ${z.prettifyError(error)}`);
  if (data.format > FORMAT || data.hash !== 'sha256') {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `${location} was written by a newer version of Varve (format ${data.format}, ${data.hash}): install a newer version`,
    );
  }
}
