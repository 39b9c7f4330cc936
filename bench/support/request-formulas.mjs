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
const ROLLUP = 256;

/** @type {Record<string, (archive: Archive) => Requests>} */
export const FORMULAS = {
  'put, inline': () => ({ get: 1, put: 2, serial: 3 }),
  'append, inline': () => ({ get: 3, put: 2, serial: 5 }),
  'rm, inline': () => ({ get: 2, put: 2, serial: 4 }),
  // What conversations of a batch share is counted once a batch.
  'import of all': ({ conversations, segments }) => ({
    put: 2 * conversations + 2 * segments + conversations / ROLLUP,
  }),
  'ls --limit 10': ({ conversations }) => lists(conversations),
  ls: ({ conversations }) => lists(conversations),
  export: ({ conversations, segments }) => ({
    ...lists(conversations),
    get: conversations + segments,
  }),
  // Segments are listed in ranges of addresses at once.
  du: ({ conversations, segments }) => ({
    list: (conversations + 3 * segments) / LISTED,
    serial: conversations / LISTED,
  }),
  'gc, idle': () => ({ get: 1, put: 1, list: 1, serial: 3 }),
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
 * Listings follow one another.
 *
 * @param {number} objects
 * @returns {Requests}
 */
function lists(objects) {
  return { list: objects / LISTED, serial: objects / LISTED };
}
