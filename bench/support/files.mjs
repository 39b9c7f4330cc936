/** What files hold and what folders weigh. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/**
 * @typedef {object} Corpus
 * @property {string} path
 * @property {string} name the file's name; no path is ever printed
 * @property {number} bytes
 * @property {string} sha256
 * @property {number} lines
 */

/**
 * Describes a JSONL file. Reading it also puts it into the page cache, so that no case pays for the
 * medium.
 *
 * @param {string} path
 * @returns {Promise<Corpus>}
 */
export async function describeCorpus(path) {
  const digest = createHash('sha256');
  let lines = 0;
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    digest.update(chunk);
    bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  }
  return { path, name: basename(path), bytes, sha256: digest.digest('hex'), lines };
}

/** @param {string} path */
export async function sha256OfFile(path) {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    digest.update(chunk);
  return digest.digest('hex');
}

/**
 * Everything below a folder (or the file itself): the sum of the files' lengths, what the file
 * system allocated for files and folders (`du -s`), and the number of files.
 *
 * @param {string} path
 */
export function weigh(path) {
  const allocated =
    Number(execFileSync('du', ['-sk', path], { encoding: 'utf8' }).split('\t')[0]) * 1024;
  const names = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
    : ['.'];
  const files = names.map((name) => statSync(join(path, name))).filter((entry) => entry.isFile());
  return {
    bytes: files.reduce((total, { size }) => total + size, 0),
    allocated,
    files: files.length,
  };
}

/**
 * Runs `work` with a new, empty folder and removes it afterwards.
 *
 * @template Result
 * @param {(folder: string) => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function inTemporaryFolder(work) {
  const folder = mkdtempSync(join(process.env['BENCH_TMPDIR'] ?? tmpdir(), 'varve-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
