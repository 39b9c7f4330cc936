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

/**
 * Finds phrases in the prose of a file that are hard to read: comments, strings, documents.
 *
 * @param {string} file
 * @param {() => string} read returns the text of the file.
 * @returns {{ line: number, phrase: string, instead: string }[] | undefined} `undefined` for a file
 * of another kind.
 */
export function hardPhrases(file, read) {
  const prose = proseOf(file, read);
  if (prose === undefined) return undefined;
  return PHRASES.flatMap(({ pattern, instead }) =>
    [...prose.matchAll(pattern)].map(({ 0: phrase, index }) => ({
      line: prose.slice(0, index).split('\n').length,
      phrase: phrase.replaceAll(/\s+(?:[*]|\/\/)?\s*/g, ' '),
      instead,
    })),
  );
}

/**
 * The text of a file with everything but its prose blanked out, so that offsets stay.
 *
 * @param {string} file
 * @param {() => string} read
 */
function proseOf(file, read) {
  if (/\.(ts|mjs|cjs)$/.test(file)) return proseOfCode(read());
  if (file.endsWith('.md')) return read().replace(/^\s*```.*?^\s*```/gms, blank);
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
