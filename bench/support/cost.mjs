/** What a piece of work costs the process that does it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** How often the event loop is looked at, in ms. */
const LOOK_MS = 2;

/**
 * @template Result
 * @typedef {object} Cost
 * @property {Result} result
 * @property {number} cpuMs of all threads of this process
 * @property {number} wallMs
 * @property {number} stallMs longest time at work in which the event loop did nothing else
 */

/**
 * @template Result
 * @param {() => Promise<Result>} work
 * @returns {Promise<Cost<Result>>}
 */
export async function costOf(work) {
  let turn = performance.now();
  let busy = process.cpuUsage();
  let stallMs = 0;
  const look = () => {
    const now = performance.now();
    const { user, system } = process.cpuUsage(busy);
    // Beside other work, a turn takes longer than the process was at work.
    const stall = Math.min(now - turn - LOOK_MS, (user + system) / 1000);
    stallMs = Math.max(stallMs, stall);
    turn = now;
    busy = process.cpuUsage();
  };
  const looking = setInterval(look, LOOK_MS);
  const cpu = process.cpuUsage();
  const started = performance.now();
  const result = await work();
  const wallMs = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  // The end of the work may be a stall that no look has seen yet.
  look();
  clearInterval(looking);
  return { result, cpuMs: (user + system) / 1000, wallMs, stallMs };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** Bytes of JavaScript's heap and of buffers that are in use, after a collection. */
export function usedBytes() {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
