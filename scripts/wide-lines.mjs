import ts from 'typescript';

export const WIDTH = 100;
/** Columns of a literal from which on the formatter may have to leave a line too wide. */
const WIDE_LITERAL = 40;

/**
 * Finds lines wider than 100 columns.
 *
 * Exempt is what cannot be broken: in code, a line with a literal of 40 columns or more (in src/
 * only a template: other strings are joined by `+`) and the inside of a template; in documents,
 * tables, code blocks, and a line that ends with a URL.
 *
 * @param {string} file
 * @param {() => string} read returns the text of the file.
 * @returns {{ line: number, width: number }[] | undefined} `undefined` for a file of another kind.
 */
export function wideLines(file, read) {
  const check = checkOf(file);
  if (check === undefined) return undefined;
  const text = read();
  const lines = text.split('\n');
  const isExempt = check(text, lines);
  return lines
    .map((line, at) => ({ at, line: at + 1, width: [...line].length }))
    .filter(({ at, width }) => width > WIDTH && !isExempt(at))
    .map(({ line, width }) => ({ line, width }));
}

/**
 * @param {string} file
 * @returns {((text: string, lines: readonly string[]) => (line: number) => boolean) | undefined}
 */
function checkOf(file) {
  if (/^src\/.*\.ts$/.test(file)) return exemptTemplates;
  if (/\.(ts|mjs|cjs)$/.test(file)) return exemptLiterals;
  if (file.endsWith('.md')) return exemptMarkdown;
  if (/^\.ci\/|\.sh$/.test(file)) return () => () => false;
  return undefined;
}

/** @param {string} text @param {readonly string[]} lines */
function exemptTemplates(text, lines) {
  return exemptCode(text, lines, (node) => !ts.isStringLiteral(node));
}

/** @param {string} text @param {readonly string[]} lines */
function exemptLiterals(text, lines) {
  return exemptCode(text, lines, () => true);
}

/**
 * @param {string} text
 * @param {readonly string[]} lines
 * @param {(node: ts.Node) => boolean} isExempt
 */
function exemptCode(text, lines, isExempt) {
  const source = ts.createSourceFile('code.ts', text, ts.ScriptTarget.Latest);
  /** @type {Set<number>} */
  const exempt = new Set();
  /** @param {ts.Node} node */
  const visit = (node) => {
    if ((ts.isTemplateExpression(node) || ts.isLiteralExpression(node)) && isExempt(node)) {
      const start = source.getLineAndCharacterOfPosition(node.getStart(source));
      const end = source.getLineAndCharacterOfPosition(node.end);
      const isWide = start.line < end.line || end.character - start.character >= WIDE_LITERAL;
      if (isWide) for (let at = start.line; at <= end.line; at++) exempt.add(at);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return (/** @type {number} */ at) => exempt.has(at) && !/ \/\/ |\/\* /.test(lines[at] ?? '');
}

/** @param {string} _text @param {readonly string[]} lines */
function exemptMarkdown(_text, lines) {
  let isCode = false;
  const exempt = lines.map((line) => {
    const isFence = /^\s*```/.test(line);
    if (isFence) isCode = !isCode;
    return isFence || isCode || /^\s*\|/.test(line) || /\S{60,}$/.test(line);
  });
  return (/** @type {number} */ at) => exempt[at] === true;
}
