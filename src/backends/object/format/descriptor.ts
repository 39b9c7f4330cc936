import { z } from 'zod';
import { VarveError } from '../../../core/errors.ts';
import { DESCRIPTOR_KEY } from './keys.ts';
import { assertReadable, decodeJson, type JsonFormat } from './stored-json.ts';

/** The newest format, in which stores are created. */
export const DESCRIPTOR_FORMAT = 2;

/** Of every format. A store of format 1 is probed by each process that writes. */
const COMMON = { varve: z.literal('objects'), hash: z.string(), created: z.string() };

/** A service that kept its promises when it was probed. */
const PROBED = z.strictObject({
  /** Names the service and what was tried; see `probed-services.ts`. */
  service: z.string().regex(/^[0-9a-f]{32}$/),
  /** When, in ms since the epoch by the service's clock. */
  at: z.int(),
});

const FORMAT_2 = z.strictObject({
  ...COMMON,
  format: z.literal(2),
  probed: z.array(PROBED),
  /**
   * Whether writers keep journals, and whether lists may rely on them: `building` while what was
   * there before is brought to pages. Absent: lists read all manifests.
   */
  journal: z.enum(['building', 'ready']).optional(),
});

/** `varve.json`: shows that a store is here, and how to read it. Nothing is written before it. */
const DESCRIPTOR = z.discriminatedUnion('format', [
  z.strictObject({ ...COMMON, format: z.literal(1) }),
  FORMAT_2,
]);

export type StoreDescriptor = z.infer<typeof DESCRIPTOR>;

/** A descriptor of the newest format. */
export type NewestDescriptor = z.infer<typeof FORMAT_2>;

export type ProbedService = z.infer<typeof PROBED>;

const FORMAT: JsonFormat<StoreDescriptor> = {
  name: 'store',
  schema: DESCRIPTOR,
  numbered: 'format',
  newest: DESCRIPTOR_FORMAT,
};

/**
 * @param location of the store, for errors.
 * @throws `UNSUPPORTED_FORMAT` when a newer Varve wrote it; `CORRUPT`.
 */
export function decodeDescriptor(body: Uint8Array, location: string): StoreDescriptor {
  const what = `${location}: ${DESCRIPTOR_KEY}`;
  const descriptor = decodeJson(body, FORMAT, what);
  if (descriptor.hash === 'sha256') return descriptor;
  throw new VarveError(
    'UNSUPPORTED_FORMAT',
    `${what}: addresses are hashes by ${descriptor.hash}, which this version of Varve does ` +
      'not know: ' +
      'install a newer version',
  );
}

export function encodeDescriptor(descriptor: StoreDescriptor): Buffer {
  assertReadable(descriptor, FORMAT, DESCRIPTOR_KEY);
  return Buffer.from(`${JSON.stringify(descriptor, undefined, 2)}\n`);
}
