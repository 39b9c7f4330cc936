/** Runs one case in a process of its own and measures it from outside. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Run
 * @property {number} wallMs from the start of the process to its end
 * @property {number} cpuMs user and system time of all its threads, to 10 ms; Linux only, else NaN
 * @property {number} peakRssBytes most memory it had resident at once (`VmHWM`); Linux only, else
 *   NaN
 * @property {string} stdout unless it went to a file
 */

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {Record<string, string>} [env] added to the environment
 * @property {string} [stdoutFile] where standard output goes
 * @property {'inherit' | 'pipe'} [stderr] where standard error goes; piped output is shown when the
 *   command fails
 * @property {readonly string[]} [stdinFrom] a command whose standard output is this one's standard
 *   input
 */

/** Linux counts processor time in these many ticks a second (`getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

const SAMPLING_MS = 5;

/**
 * Runs a command to its end.
 *
 * @param {readonly string[]} commandLine
 * @param {RunOptions} [options]
 * @returns {Promise<Run>}
 */
export async function run(commandLine, options = {}) {
  const { cwd, env = {}, stdoutFile, stdinFrom, stderr: errors = 'pipe' } = options;
  const [command = '', ...parameters] = commandLine;
  const output = stdoutFile === undefined ? undefined : openSync(stdoutFile, 'w');
  const feeder =
    stdinFrom &&
    spawn(stdinFrom[0] ?? '', stdinFrom.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const started = performance.now();
  const child = spawn(command, parameters, {
    cwd,
    env: { ...process.env, ...env },
    stdio: [feeder?.stdout ?? 'ignore', output ?? 'pipe', errors],
  });
  const usage = { cpuMs: Number.NaN, peakRssBytes: Number.NaN };
  const sampler = setInterval(() => sample(child.pid, usage), SAMPLING_MS);
  try {
    const texts = Promise.all([text(child.stdout), text(child.stderr)]);
    const code = await new Promise((resolve, reject) =>
      child.once('error', reject).once('exit', resolve),
    );
    const wallMs = performance.now() - started;
    const [stdout, stderr] = await texts;
    if (code !== 0) throw new Error(`${commandLine.join(' ')} ended with ${code}:\n${stderr}`);
    return { wallMs, ...usage, stdout };
  } finally {
    clearInterval(sampler);
    if (output !== undefined) closeSync(output);
    feeder?.kill();
  }
}

/**
 * Runs a script of `cases/` with its parameters as JSON; the script prints its result as JSON.
 *
 * @param {string} name
 * @param {object} parameters
 * @param {Record<string, string>} [env] added to the environment
 * @returns {Promise<{ run: Run, result: any }>}
 */
export async function runCase(name, parameters, env = {}) {
  const script = fileURLToPath(new URL(`../cases/${name}.mjs`, import.meta.url));
  const measured = await run([process.execPath, script, JSON.stringify(parameters)], {
    env,
    stderr: 'inherit',
  });
  return { run: measured, result: JSON.parse(measured.stdout) };
}

/**
 * The parameters of a case, in its process.
 *
 * @returns {any}
 */
export function caseParameters() {
  return JSON.parse(process.argv[2] ?? '{}');
}

/**
 * Both figures only ever grow, so the last sample misses no more than the last few milliseconds.
 *
 * @param {number | undefined} pid
 * @param {{ cpuMs: number, peakRssBytes: number }} usage
 */
function sample(pid, usage) {
  try {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // A zombie has no memory any more.
    if (peak === undefined) return;
    usage.peakRssBytes = Number(peak) * 1024;
    // The name, in parentheses, may contain anything. utime is field 14; what follows the name
    // begins with field 3.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    usage.cpuMs = ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
  } catch {
    // It has just ended, or there is no /proc.
  }
}

/** @param {import('node:stream').Readable | null} stream */
async function text(stream) {
  let all = '';
  if (stream !== null) for await (const chunk of stream.setEncoding('utf8')) all += chunk;
  return all;
}
