/** A table of what verbs ask of a service. */
import { table } from '../../support/table.mjs';
import { compared } from './compare.mjs';

/**
 * @typedef {object} Verb
 * @property {number} requests
 * @property {number} depth requests that follow one another
 * @property {number} bytesUp
 * @property {number} bytesDown
 * @property {number} [heapBytes] most memory in use at once
 */

/**
 * @param {string} title
 * @param {readonly Record<string, Verb>[]} figures of each build, by verb
 * @param {number} latencyMs
 */
export function requestTable(title, figures, latencyMs) {
  const columns = ['', 'requests', 'depth', `s at ${latencyMs} ms`, 'KB up', 'KB down', 'heap, MB'];
  const rows = Object.keys(figures.at(-1) ?? {}).map((name) => {
    const cell = (/** @type {(verb: Verb) => number | undefined} */ value) =>
      compared(figures.map((ofBuild) => ofBuild[name] && value(ofBuild[name])));
    return [
      name,
      cell(({ requests }) => requests),
      cell(({ depth }) => depth),
      cell(({ depth }) => (depth * latencyMs) / 1000),
      cell(({ bytesUp }) => bytesUp / 1000),
      cell(({ bytesDown }) => bytesDown / 1000),
      cell(({ heapBytes }) => heapBytes && heapBytes / 1e6),
    ];
  });
  return table(title, columns, rows);
}
