import type { Backend } from './backend.ts';

/**
 * Yields items as long as the store is open: nothing read ahead is handed out after that.
 *
 * @throws `CLOSED`; what `items` throws.
 */
export async function* whileOpen<Item, Result>(
  backend: Pick<Backend, 'assertOpen'>,
  items: AsyncGenerator<Item, Result, undefined>,
): AsyncGenerator<Item, Result, undefined> {
  try {
    for (;;) {
      backend.assertOpen();
      const step = await items.next();
      if (step.done) return step.value;
      yield step.value;
    }
  } finally {
    await items.return(undefined as never);
  }
}
