import type { AbortOptions } from '../manifests.ts';
import type { ListedObject } from './object-store.ts';
import type { Protocol } from './protocol.ts';

/** All objects below a prefix, a page at a time, in the order of their keys. */
export async function* listPages(
  { store, serverClock }: Pick<Protocol, 'store' | 'serverClock'>,
  prefix: string,
  options: AbortOptions & { readonly after?: string } = {},
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const { signal } = options;
  for (let after = options.after; ; ) {
    const page = await store.list(prefix, {
      ...(after !== undefined && { after }),
      ...(signal !== undefined && { signal }),
    });
    serverClock.observe(page.serverTime);
    if (page.objects.length > 0) yield page.objects;
    if (!page.isTruncated) return;
    after = page.objects.at(-1)?.key;
  }
}

export async function* listObjects(
  protocol: Pick<Protocol, 'store' | 'serverClock'>,
  prefix: string,
  options: AbortOptions & { readonly after?: string } = {},
): AsyncGenerator<ListedObject, void, undefined> {
  for await (const page of listPages(protocol, prefix, options)) yield* page;
}
