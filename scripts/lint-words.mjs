/**
 * Checks comments, strings and documents for phrases that are hard to read.
 *
 * Usage: node scripts/lint-words.mjs [file…; default: every file of the project that git knows]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** What not to write, and what to write instead. A space matches a line break, too. */
const PHRASES = [
  ['let(ting|s)? go of', 'release, drop'],
  ['(tells?|telling|told)(?! to| apart)', 'return, report, list, show, distinguish'],
  ['(leave|leaves|leaving|left) word', 'write a hint'],
  ['shall', 'must, will'],
  ['so many(?! \\w+ that)', 'this many, at most, the number of'],
  ['(?<!there )(is|are|was|were) none(?! of)', 'is not one; there is none'],
  ['cannot be(?=[.,;:)]| one)', 'is invalid'],
  ['(?<!there |There )(is|are) no (?!longer|more|less|\\w+er\\b|problem)\\w+', 'is not a'],
  ['(goes|go|going|went) on from there', 'continue from there'],
  ['whose time (has|had) come', 'expired'],
  ['to be had', 'available'],
  ['for want of', 'without'],
  ['(mends?|mended|mending)', 'repair, fix'],
  ['anew', 'again'],
  ['at the (most|least)', 'at most, at least'],
  ['(takes?|taking|took) note of', 'record, remember'],
  ['(comes?|came) to be', 'is created'],
].map(([phrase = '', instead = '']) => {
  const pattern = phrase.replaceAll(' ', '\\s+(?:\\*\\s+|//\\s+)?');
  return { pattern: new RegExp(`\\b${pattern}\\b`, 'gi'), instead };
});

/** Conversations made up for the demo, and what has to quote the phrases. */
const EXEMPT =
  /^(examples\/demo\/agents\.mjs|scripts\/lint-words\.mjs|test\/tooling\/words\.test\.ts)$/;

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
  const prose = proseOf(file);
  if (prose === undefined) continue;
  read++;
  for (const { pattern, instead } of PHRASES) {
    for (const { 0: phrase, index } of prose.matchAll(pattern)) {
      found++;
      const line = prose.slice(0, index).split('\n').length;
      console.error(
        `${file}:${line}: "${phrase.replaceAll(/\s+(?:[*]|\/\/)?\s*/g, ' ')}": write ${instead}`,
      );
    }
  }
}
if (read === 0 || found > 0) {
  console.error(`word check: ${found} phrases in ${read} files are hard to read`);
  process.exitCode = 1;
} else {
  console.log(`word check: ${read} files, no phrase that is hard to read`);
}

/**
 * The text of a file with everything but its prose blanked out, so that offsets stay.
 *
 * @param {string} file
 */
function proseOf(file) {
  if (/\.(ts|mjs|cjs)$/.test(file)) return proseOfCode(readFileSync(file, 'utf8'));
  if (file.endsWith('.md'))
    return readFileSync(file, 'utf8').replace(/^\s*```.*?^\s*```/gms, blank);
  return undefined;
}

/** @param {string} text */
function proseOfCode(text) {
  const source = ts.createSourceFile('code.ts', text, ts.ScriptTarget.Latest, true);
  /** @type {Map<number, number>} */
  const ranges = new Map();
  /** @param {ts.Node} node */
  const visit = (node) => {
    const comments = [
      ...(ts.getLeadingCommentRanges(text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
    ];
    for (const { pos, end } of comments) ranges.set(pos, end);
    if (isText(node)) ranges.set(node.getStart(source), node.end);
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  let prose = '';
  for (const [start, end] of [...ranges].sort(([a], [b]) => a - b)) {
    if (start < prose.length) continue;
    prose += blank(text.slice(prose.length, start)) + text.slice(start, end);
  }
  return prose;
}

/** @param {ts.Node} node */
function isText(node) {
  return (
    ts.isStringLiteralLike(node) ||
    node.kind === ts.SyntaxKind.TemplateHead ||
    node.kind === ts.SyntaxKind.TemplateMiddle ||
    node.kind === ts.SyntaxKind.TemplateTail
  );
}

/** @param {string} text */
function blank(text) {
  return text.replaceAll(/[^\n]/g, ' ');
}
