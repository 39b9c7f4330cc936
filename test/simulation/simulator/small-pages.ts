import type { PageSizes } from '../../../src/backends/object/tables/foundation.ts';

/** Every append makes a page, and every second page is merged with others. */
export const SMALL_PAGES: PageSizes = {
  firstAbove: 0,
  above: 1,
  entries: 1,
  fanIn: 2,
  most: 100_000,
  keys: 1,
};
