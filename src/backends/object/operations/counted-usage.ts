import { z } from 'zod';
import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import type { CountedUsage } from '../../contract/usage.ts';
import { USAGE_KEY } from '../format/keys.ts';
import { decodeJson, type JsonFormat } from '../format/stored-json.ts';
import type { ManifestLists } from '../heads/manifest-lists.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { usageOf } from './usage.ts';

const COUNT = z.number().nonnegative();
const OF_KIND = z.strictObject({ count: COUNT, logicalBytes: COUNT });
const COUNTED: JsonFormat<CountedUsage & { readonly v: 1 }> = {
  name: 'usage',
  schema: z.strictObject({
    v: z.literal(1),
    countedAt: COUNT,
    usage: z.strictObject({
      manifests: z.strictObject({ conversation: OF_KIND, blob: OF_KIND, pin: OF_KIND }),
      segments: COUNT,
      segmentBytes: COUNT,
      storedBytes: COUNT,
      indexBytes: COUNT,
      garbageSegments: COUNT,
      garbageBytes: COUNT,
    }),
  }),
};

/** What was counted last; `undefined` when it never was, or what is left of it cannot be read. */
export async function lastUsage(
  { store }: Pick<Protocol, 'store'>,
  { signal }: AbortOptions,
): Promise<CountedUsage | undefined> {
  const object = await store.get(USAGE_KEY, abortOf(signal));
  if (object === undefined) return undefined;
  const read = async () => decodeJson(object.body, COUNTED, USAGE_KEY);
  const counted = await unlessUnreadable(read());
  return counted && { countedAt: counted.countedAt, usage: counted.usage };
}

/** Counts, and leaves it for {@link lastUsage}. */
export async function recount(
  protocol: Protocol,
  lists: ManifestLists,
  options: AbortOptions,
): Promise<void> {
  const usage = await usageOf(protocol, lists, options);
  const counted = { v: 1, countedAt: Math.round(protocol.serverClock.earliest()), usage };
  const body = Buffer.from(JSON.stringify(counted));
  await protocol.store.put(USAGE_KEY, body, { kind: 'any' }, abortOf(options.signal));
}
