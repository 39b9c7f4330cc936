/** Deeper nesting is not indented further: the output would grow with its square. */
const DEEPEST_INDENT = 64;

/**
 * A JSON text (valid, without needless white space at its ends) with line breaks and indentation
 * for people. The values stay as they are written: through JavaScript's numbers, long ones would
 * lose digits.
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
