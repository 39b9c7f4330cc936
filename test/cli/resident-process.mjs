/**
 * A process that runs the compiled command line again and again: most of what a start costs is
 * loading. Reads requests from one named pipe, a line of JSON each, and answers on another.
 *
 * Usage: node resident-process.mjs REQUESTS REPLIES
 */
import { createReadStream, openSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable, Writable } from 'node:stream';

/** Keeps what is written. */
class Collector extends Writable {
  /** @type {Buffer[]} */
  #chunks = [];

  /**
   * @override
   * @param {Buffer} chunk
   * @param {string} _encoding
   * @param {() => void} done
   */
  _write(chunk, _encoding, done) {
    this.#chunks.push(chunk);
    done();
  }

  base64() {
    return Buffer.concat(this.#chunks).toString('base64');
  }
}

const [requests = '', replies = ''] = process.argv.slice(2);
// In the order in which the other side opens them: each waits for it.
const input = createReadStream('', { fd: openSync(requests, 'r') });
const output = openSync(replies, 'w');
// After that, so that whoever waits learns of a failure by the end of the pipe.
/** @type {import('../../src/cli/run-cli.ts')} */
const { runCli } = await import(new URL('../../dist/cli/run-cli.js', import.meta.url).href);

for await (const line of createInterface({ input })) {
  const { args, folder, env, ...request } = JSON.parse(line);
  process.chdir(folder);
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  const stdin = Readable.from(request.input === '' ? [] : [Buffer.from(request.input, 'base64')]);
  const stdout = new Collector();
  const stderr = new Collector();
  const { exitCode } = await runCli(args, { stdin, stdout, stderr }, new AbortController().signal);
  const reply = { exitCode, stdout: stdout.base64(), stderr: stderr.base64() };
  writeFileSync(output, `${JSON.stringify(reply)}\n`);
}
