/**
 * Peak memory of `varve import -` and `varve export` as the stream grows. The conversations are
 * synthetic and all new (20 messages of 1,000 bytes), which is the worst case for everything that
 * is remembered.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inTemporaryFolder, weigh } from '../support/files.mjs';
import { CLI } from '../support/library.mjs';
import { run } from '../support/process.mjs';
import { fixed, megabytes, seconds, table } from '../support/table.mjs';

export const summary = 'peak memory of importing and exporting streams of growing size';
export const options = /** @type {const} */ ({
  megabytes: { type: 'string', default: '50,200,800' },
  seed: { type: 'string', default: '1' },
});

const SHAPE = { messages: 20, messageBytes: 1000 };
const GENERATOR = fileURLToPath(new URL('../cases/generate.mjs', import.meta.url));

/**
 * @param {readonly unknown[]} _corpora
 * @param {{ megabytes: string, seed: string }} given
 */
export async function measure(_corpora, given) {
  const results = [];
  for (const size of given.megabytes.split(',')) {
    console.error(`${size} MB`);
    results.push(
      await inTemporaryFolder((folder) =>
        measureSize(Number(size) * 1e6, Number(given.seed), folder),
      ),
    );
  }
  const rows = results.map((one) => [
    fixed(one.rawBytes / 1e6, 0),
    fixed(one.import.peakRssBytes / 1e6, 0),
    fixed(one.export.peakRssBytes / 1e6, 0),
    seconds(one.import.wallMs),
    seconds(one.export.wallMs),
    megabytes(one.storeBytes),
  ]);
  const columns = [
    'MB',
    'peak RSS import MB',
    'peak RSS export MB',
    'import s',
    'export s',
    'store MB',
  ];
  return { results, tables: [table('Memory as the stream grows', columns, rows)] };
}

/**
 * @param {number} bytes
 * @param {number} seed
 * @param {string} folder
 */
async function measureSize(bytes, seed, folder) {
  const store = join(folder, 'store');
  const output = join(folder, 'exported.jsonl');
  const varve = (/** @type {string[]} */ ...args) => [
    process.execPath,
    CLI,
    ...args,
    '--store',
    store,
    '--quiet',
  ];
  const stdinFrom = [process.execPath, GENERATOR, JSON.stringify({ bytes, seed, ...SHAPE })];
  const imported = await run(varve('import', '-'), { stdinFrom });
  const exported = await run(varve('export'), { stdoutFile: output });
  return {
    rawBytes: weigh(output).bytes,
    import: imported,
    export: exported,
    storeBytes: weigh(store).bytes,
  };
}
