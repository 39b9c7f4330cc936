/**
 * Checks that no line of code, comment or document is wider than 100 columns, unless it cannot be
 * broken.
 *
 * Usage: node scripts/lint-lines.mjs [file…; default: every file of the project that git knows]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { WIDTH, wideLines } from './wide-lines.mjs';

const given = process.argv.slice(2);
const files =
  given.length > 0 ? given : execFileSync('git', ['ls-files'], { encoding: 'utf8' }).split('\n');

let read = 0;
let found = 0;
for (const file of files) {
  const wide = wideLines(file, () => readFileSync(file, 'utf8'));
  if (wide === undefined) continue;
  read++;
  found += wide.length;
  for (const { line, width } of wide) console.error(`${file}:${line}: ${width} columns`);
}
if (read === 0 || found > 0) {
  console.error(`line check: ${found} lines of ${read} files are wider than ${WIDTH} columns`);
  process.exitCode = 1;
} else {
  console.log(`line check: ${read} files, no line wider than ${WIDTH} columns`);
}
