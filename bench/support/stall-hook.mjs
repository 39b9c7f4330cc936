/**
 * Loaded into a command line by `--import`: on its exit, appends to the file that
 * `BENCH_STALLS` names how long its event loop was blocked at worst, in ms.
 */
import { appendFileSync } from 'node:fs';

const LOOK_MS = 2;
const file = process.env['BENCH_STALLS'];

let turn = performance.now();
let busy = process.cpuUsage();
let longest = 0;
const look = () => {
  const now = performance.now();
  const { user, system } = process.cpuUsage(busy);
  // Beside other work, a turn takes longer than the process was at work.
  longest = Math.max(longest, Math.min(now - turn - LOOK_MS, (user + system) / 1000));
  turn = now;
  busy = process.cpuUsage();
};
setInterval(look, LOOK_MS).unref();
process.on('exit', () => {
  look();
  if (file !== undefined) appendFileSync(file, `${longest}\n`);
});
