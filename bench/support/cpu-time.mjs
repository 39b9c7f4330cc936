/** CPU time of a command to the millisecond, by the shell, since `/proc` counts in ticks of ten. */
import { execFileSync } from 'node:child_process';

/**
 * User and system time of a command and of what it starts, in ms.
 *
 * @param {readonly string[]} commandLine
 * @param {Record<string, string>} [env] added to the environment
 */
export function cpuTimeOf(commandLine, env = {}) {
  const timed = 'TIMEFORMAT="%3U %3S"; { time "$@" >/dev/null 2>/dev/null; } 2>&1';
  const output = execFileSync('bash', ['-c', timed, 'bash', ...commandLine], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  const [user = Number.NaN, system = Number.NaN] = output.trim().split(' ').map(Number);
  return (user + system) * 1000;
}
