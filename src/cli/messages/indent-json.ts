/**
 * Deeper nesting gets no further indentation: the output would grow quadratically with the depth.
 */
const DEEPEST_INDENT = 64;

/**
 * Adds line breaks and indentation to a JSON text (valid, without white space at its ends). Works
 * on the text, because long numbers would lose digits as JavaScript values.
 */
export function indentJson(text: string): string {
  const out: string[] = [];
  let depth = 0;
  const breakLine = () => `\n${'  '.repeat(Math.min(depth, DEEPEST_INDENT))}`;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      depth++;
      out.push(token, breakLine());
    } else if (token === '}' || token === ']') {
      depth--;
      out.push(breakLine(), token);
    } else if (token === ',') {
      out.push(token, breakLine());
    } else if (token === ':') {
      out.push(': ');
    } else {
      out.push(token.startsWith('{') ? '{}' : token.startsWith('[') ? '[]' : token);
    }
  }
  return out.join('');
}

/** An empty object or array, a string, a sign, or a number or word. */
const TOKEN = /\{\s*\}|\[\s*\]|"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
