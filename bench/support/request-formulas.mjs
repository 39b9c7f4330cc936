/**
 * What verbs ask of a service, as formulas: those of docs/protocol.md, "Requests". They are for one
 * process that has just opened the store, without contention.
 * `test/tooling/request-formulas.test.ts` compares them with requests that are counted.
 */

/**
 * @typedef {object} Archive a store, or what of it a verb is about
 * @property {number} conversations
 * @property {number} segments different ones
 */

/**
 * Requests by verb of the service. What `serial` has of them follows one another, all others are
 * sent at once, as many as may be under way.
 *
 * @typedef {object} Requests
 * @property {number} [get]
 * @property {number} [head]
 * @property {number} [put]
 * @property {number} [list]
 * @property {number} [delete]
 * @property {number} [serial]
 */

const LISTED = 1_000;
const BATCH = 1_024;
/** Heads on a page of a list. */
const PAGE = 4_096;

/** @type {Record<string, (archive: Archive) => Requests>} */
export const FORMULAS = {
  'put, inline': () => ({ get: 1, put: 3, serial: 4 }),
  'append, inline': () => ({ get: 3, put: 3, serial: 6 }),
  'rm, inline': () => ({ get: 2, put: 3, serial: 5 }),
  // What conversations of a batch share is counted once a batch.
  'import of all': ({ conversations, segments }) => ({
    put: 2 * conversations + 2 * segments + conversations / BATCH + conversations / PAGE,
  }),
  'ls --limit 10': () => ({ get: 3, list: 1, serial: 4 }),
  ls: ({ conversations }) => lists(conversations),
  export: ({ conversations, segments }) => ({
    ...lists(conversations),
    get: conversations + segments + conversations / PAGE,
  }),
  // Segments are listed in ranges of addresses at once.
  du: ({ conversations, segments }) => ({
    get: 4 + conversations / PAGE,
    list: (conversations + 3 * segments) / LISTED,
    serial: 4,
  }),
  'gc, idle': () => ({ get: 1, put: 1, list: 2, serial: 4 }),
  'gc --full, without garbage': ({ segments }) => ({
    get: segments,
    list: (2 * segments) / LISTED,
  }),
  'audit, all data': ({ conversations, segments }) => ({
    get: conversations + 2 * segments,
    list: (conversations + 2 * segments) / LISTED,
    serial: conversations / LISTED,
  }),
  backup: ({ conversations, segments }) => ({
    ...lists(conversations),
    get: conversations + 2 * segments,
    head: segments,
  }),
  'backup, unchanged': ({ conversations }) => lists(conversations),
};

/**
 * A LIST of journals, the catalog, and pages, of which eight are fetched ahead.
 *
 * @param {number} conversations
 * @returns {Requests}
 */
function lists(conversations) {
  return { get: 3 + conversations / PAGE, list: 1, serial: 3 + conversations / PAGE / 8 };
}
