/** What a result needs beside it to be understood later. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { importSqliteDriver, PROJECT } from './library.mjs';

const { openSqlite } = await importSqliteDriver();

export function machineFacts() {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    loadAverage: loadavg()[0],
    platform: `${process.platform} ${process.arch}`,
    /** Magic number of the file system that holds the stores; ext4 is 0xef53, tmpfs 0x1021994. */
    fileSystem: `0x${statfsSync(process.env['BENCH_TMPDIR'] ?? tmpdir()).type.toString(16)}`,
    node: process.version,
    varve: version('package.json'),
    commit: commit(),
    sqlite: sqliteVersion(),
    zstdNapi: version('node_modules/zstd-napi/package.json'),
  };
}

/** @param {string} path */
function version(path) {
  return JSON.parse(readFileSync(join(PROJECT, path), 'utf8')).version;
}

function sqliteVersion() {
  const database = openSqlite(':memory:');
  const version = database.prepare('SELECT sqlite_version()').pluck().get();
  database.close();
  return version;
}

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd: PROJECT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}
