/**
 * Checks comments, strings and documents for phrases that are hard to read.
 *
 * Usage: node scripts/lint-words.mjs [file…; default: every file of the project that git knows]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hardPhrases } from './hard-phrases.mjs';

/** Conversations made up for the demo, and what has to quote the phrases. */
const EXEMPT =
  /^(examples\/demo\/agents\.mjs|scripts\/hard-phrases\.mjs|test\/tooling\/words\.test\.ts)$/;

const given = process.argv.slice(2);
const files =
  given.length > 0
    ? given
    : execFileSync('git', ['ls-files'], { encoding: 'utf8' })
        .split('\n')
        .filter((file) => !EXEMPT.test(file));

let read = 0;
let found = 0;
for (const file of files) {
  const phrases = hardPhrases(file, () => readFileSync(file, 'utf8'));
  if (phrases === undefined) continue;
  read++;
  found += phrases.length;
  for (const { line, phrase, instead } of phrases)
    console.error(`${file}:${line}: "${phrase}": write ${instead}`);
}
if (read === 0 || found > 0) {
  console.error(`word check: ${found} phrases in ${read} files are hard to read`);
  process.exitCode = 1;
} else {
  console.log(`word check: ${read} files, no phrase that is hard to read`);
}
