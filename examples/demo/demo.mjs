/**
 * Shows in a few seconds what Varve does, with its own command line on made-up sessions (see
 * generate.mjs). Everything happens in a temporary directory that is removed in the end; nothing is
 * taken for granted: the demo fails when an export differs by a byte, or when the audit finds
 * anything.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sampleLines } from './generate.mjs';

const SESSIONS = 3000;

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'varve-demo-'));
const sample = join(folder, 'sessions.jsonl');
const env = { ...process.env, VARVE_STORE: join(folder, 'archive') };

/** Runs a command and returns what it printed. @param {string[]} args */
function varve(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
    env,
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`varve ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

/**
 * Runs a command as a person would, and shows it and the beginning of what it printed. @param
 * {string[]} args
 */
function show(args, { lines = 20 } = {}) {
  console.log(
    `  $ varve ${args.map((arg) => (arg === sample ? 'sessions.jsonl' : arg)).join(' ')}`,
  );
  const printed = varve(...args)
    .toString()
    .trimEnd()
    .split('\n');
  for (const line of printed.slice(0, lines))
    console.log(`    ${line.length > 110 ? `${line.slice(0, 109)}…` : line}`);
  if (printed.length > lines) console.log(`    … ${printed.length - lines} more lines`);
  console.log();
}

/** @param {Uint8Array | string} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

try {
  const lines = sampleLines(SESSIONS);
  writeFileSync(sample, lines);
  console.log(
    `\n1. Archive ${SESSIONS.toLocaleString('en-US')} sessions of three agents; prompts and ` +
      'tool results repeat, as they do in real logs.\n',
  );
  show(['import', sample]);

  console.log(
    '2. The store keeps every long text once, and compresses them together. (Made-up ' +
      'sessions repeat more than yours.)\n',
  );
  show(['du']);
  console.log('3. Read one back; list and filter.\n');
  show(['get', 'kitchen-helper/session-0002'], { lines: 6 });
  show(['ls', '--long', '--newest', '--limit', '3', '--application', 'code-review']);

  console.log('4. Get everything back, byte for byte, in the order of the file.\n');
  const original = sha256(lines);
  const exported = sha256(varve('export'));
  console.log('  $ sha256sum sessions.jsonl; varve export | sha256sum');
  console.log(`    ${original}\n    ${exported}\n`);
  if (original !== exported) throw new Error('the export differs from what was imported');

  console.log('5. Importing it again changes nothing.\n');
  show(['import', sample]);

  console.log('6. Delete the bicycle desk; what no other conversation uses is collected.\n');
  const ids = varve('ls', 'bicycle-desk/*').toString().trimEnd().split('\n');
  console.log("  $ varve ls 'bicycle-desk/*' | xargs varve rm");
  console.log(`    ${varve('rm', ...ids).toString()}`);
  show(['gc', '--grace', '0', '--full']);

  console.log('7. Verify everything that is stored.\n');
  show(['audit']);
  console.log(
    'That was all on a temporary directory. Your turn: varve import FILE... --store DIRECTORY\n',
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
