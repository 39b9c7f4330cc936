import { type AbortOptions, abortOf } from '../../core/abort.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';
import type { ServerClock } from './server-clock.ts';

/** A service, and what its answers say about its clock. */
export interface ObservedStore {
  readonly store: ObjectStore;
  readonly serverClock: ServerClock;
}

/** All objects below a prefix, a page at a time, in the order of their keys. */
export async function* listPages(
  { store, serverClock }: ObservedStore,
  prefix: string,
  options: AbortOptions & { readonly after?: string } = {},
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const { signal } = options;
  for (let after = options.after; ; ) {
    const page = await store.list(prefix, {
      ...(after !== undefined && { after }),
      ...abortOf(signal),
    });
    serverClock.observe(page.serverTime);
    if (page.objects.length > 0) yield page.objects;
    if (!page.isTruncated) return;
    after = page.objects.at(-1)?.key;
  }
}

export async function* listObjects(
  observed: ObservedStore,
  prefix: string,
  options: AbortOptions & { readonly after?: string } = {},
): AsyncGenerator<ListedObject, void, undefined> {
  for await (const page of listPages(observed, prefix, options)) yield* page;
}
