/** Command lines on an S3 service with a latency: requests and seconds of each process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliOf } from '../../support/library.mjs';
import { run } from '../../support/process.mjs';
import { S3_ENVIRONMENT, S3Service } from '../../support/s3-service.mjs';
import { ConversationSource, syntheticId } from '../../support/synthetic.mjs';
import { table } from '../../support/table.mjs';
import { compared } from './compare.mjs';

const HEADS = 500;
const FULL_HEADS = 10_000;

/**
 * @typedef {object} Command
 * @property {number} requests
 * @property {number} seconds
 * @property {number} kbUp
 * @property {Record<string, number>} asked requests by verb and kind of object
 */

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ isFull, latencyMs, seed, builds, folder }) {
  const heads = isFull ? FULL_HEADS : HEADS;
  /** @type {Record<string, Command>[]} */
  const figures = [];
  for (const { label, dist } of builds) {
    console.error(`service with ${heads} conversations: ${label}`);
    const service = await new S3Service().start();
    figures.push(await commandsOn(service, { dist, heads, latencyMs, seed, folder }));
    service.stop();
  }
  const rows = Object.keys(figures.at(-1) ?? {}).map((name) => {
    const cell = (/** @type {'requests' | 'seconds' | 'kbUp'} */ figure) =>
      compared(figures.map((ofBuild) => ofBuild[name]?.[figure]));
    return [name, cell('requests'), cell('seconds'), cell('kbUp')];
  });
  return {
    results: { heads, latencyMs, figures },
    tables: [
      table(
        `Command lines on S3: ${heads} conversations, ${latencyMs} ms a request`,
        ['', 'requests', 's', 'KB up'],
        rows,
      ),
    ],
  };
}

/**
 * @param {S3Service} service
 * @param {{ dist: string, heads: number, latencyMs: number, seed: number, folder: string }} how
 */
async function commandsOn(service, { dist, heads, latencyMs, seed, folder }) {
  const file = (/** @type {string} */ name, /** @type {unknown} */ content) => {
    const path = join(folder, name);
    writeFileSync(path, content instanceof Uint8Array ? content : `${JSON.stringify(content)}\n`);
    return path;
  };
  const shape = { seed, messages: 4, messageBytes: 500 };
  const source = new ConversationSource({ ...shape, prompts: 10, promptBytes: 6000 });
  const all = file('all.jsonl', source.next(heads));
  const long = [0, 1].map((at) => ({ role: 'user', content: `${at} is new. `.repeat(600) }));
  const small = file('small.json', { id: 'small', messages: [{ role: 'user', content: 'Hi' }] });
  const message = file('message.json', [{ role: 'assistant', content: 'Hello' }]);
  /** @type {Record<string, string[]>} */
  const commands = {
    'gc, idle': ['gc'],
    'put, inline': ['put', small],
    'put, 2 new segments': ['put', file('long.json', { id: 'long', messages: long })],
    'put, 1 known segment': ['put', file('known.json', { id: 'known', messages: [long[0]] })],
    'append, inline': ['append', 'small', message],
    'cat, inline': ['cat', 'small'],
    'rm, inline': ['rm', 'small'],
    'rm, 2 segments': ['rm', 'long'],
    'gc, after these': ['gc'],
    'import -q of one': ['import', '-q', file('one.jsonl', { id: 'one', messages: [] })],
    info: ['info'],
    'ls --limit 10': ['ls', '--limit', '10'],
    ls: ['ls'],
    'cat of one': ['cat', syntheticId(7)],
  };
  const cli = [process.execPath, cliOf(dist), '--store', service.location];
  service.latencyMs = 0;
  await run([...cli, 'import', '-q', all], { env: S3_ENVIRONMENT });
  service.latencyMs = latencyMs;
  /** @type {Record<string, Command>} */
  const figures = {};
  for (const [name, command] of Object.entries(commands)) {
    service.reset();
    const { wallMs } = await run([...cli, ...command], { env: S3_ENVIRONMENT });
    /** @type {Record<string, number>} */
    const asked = {};
    for (const request of service.requests) asked[request] = (asked[request] ?? 0) + 1;
    figures[name] = {
      requests: service.requests.length,
      seconds: wallMs / 1000,
      kbUp: service.bytesUp / 1000,
      asked,
    };
  }
  return figures;
}
