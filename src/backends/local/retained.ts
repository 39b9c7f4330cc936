/**
 * Every connection and statement that was made of better-sqlite3. From Node 24.19 on, addons built against its headers
 * abort when such an object is collected (nodejs/node#65446), so none ever is: a store that was open leaves some sixty
 * small objects behind. For the same reason pragmas go through `exec`, which makes no statement, and nothing iterates.
 */
const RETAINED = new Set<object>();

/** Keeps a connection or statement from being collected. */
export function retain<Native extends object>(native: Native): Native {
  RETAINED.add(native);
  return native;
}
