import type { PageSizes } from '../../../src/backends/object/tables/foundation.ts';

/** Every append makes pages, and every second page merges others. */
export const TINY_PAGES: PageSizes = {
  firstAbove: 0,
  above: 1,
  entries: 1,
  fanIn: 2,
  most: 100_000,
  keys: 1,
};
