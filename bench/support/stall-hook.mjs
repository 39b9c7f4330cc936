/**
 * Loaded into a command line by `--import`: on its exit, appends to the file that
 * `BENCH_STALLS` names how long its event loop was blocked at worst, in ms.
 */
import { appendFileSync } from 'node:fs';

const LOOK_MS = 2;
const file = process.env['BENCH_STALLS'];

let turn = performance.now();
let longest = 0;
const look = () => {
  const now = performance.now();
  longest = Math.max(longest, now - turn - LOOK_MS);
  turn = now;
};
setInterval(look, LOOK_MS).unref();
process.on('exit', () => {
  look();
  if (file !== undefined) appendFileSync(file, `${longest}\n`);
});
