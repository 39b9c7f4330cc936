import { VarveError } from './errors.ts';

/** A step of a pattern: any characters, or one character of a kind. */
type Step = 'any' | ((character: string) => boolean);

/** The greatest number of alternatives that the braces of one pattern may expand to. */
const MOST_ALTERNATIVES = 1000;

/**
 * Compiles a glob over whole ids: `*` matches any characters (`/` and line breaks too), `?` one
 * character, `[a-z]` one of a set, `[!a-z]` one outside it, `{a,b}` alternatives, `\\` makes the
 * next character literal. Matching takes time proportional to pattern times id, whatever the
 * pattern: it only ever backtracks to the last `*`, which is enough.
 *
 * @throws `INVALID_ARGUMENT` for a pattern with more than 1,000 alternatives.
 */
export function globMatcher(pattern: string): (id: string) => boolean {
  const alternatives = expandBraces([...pattern]).map(compile);
  return (id) => {
    const characters = [...id];
    return alternatives.some((steps) => matches(steps, characters));
  };
}

function matches(steps: readonly Step[], characters: readonly string[]): boolean {
  let step = 0;
  let at = 0;
  let retryStep = -1;
  let retryAt = 0;
  while (at < characters.length) {
    const current = steps[step];
    if (current === 'any') {
      retryStep = ++step;
      retryAt = at;
    } else if (current?.(characters[at] as string)) {
      step++;
      at++;
    } else if (retryStep >= 0) {
      step = retryStep;
      at = ++retryAt;
    } else {
      return false;
    }
  }
  while (steps[step] === 'any') step++;
  return step === steps.length;
}

function compile(pattern: readonly string[]): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] as string;
    const set = character === '[' ? readSet(pattern, at) : undefined;
    if (character === '*') {
      if (steps.at(-1) !== 'any') steps.push('any');
    } else if (character === '?') {
      steps.push(() => true);
    } else if (set !== undefined) {
      steps.push(set.test);
      at = set.end;
    } else {
      const literal =
        character === '\\' && at + 1 < pattern.length ? (pattern[++at] as string) : character;
      steps.push((other) => other === literal);
    }
  }
  return steps;
}

/**
 * The set that opens at `start`, and where it closes; `undefined` when it does not close: then the
 * bracket is literal.
 */
function readSet(
  pattern: readonly string[],
  start: number,
): { readonly test: (character: string) => boolean; readonly end: number } | undefined {
  const negated = pattern[start + 1] === '!' || pattern[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  // A closing bracket right after the opening one belongs to the set.
  const end = pattern.indexOf(']', first + 1);
  if (end < 0) return undefined;
  const ranges: [number, number][] = [];
  for (let at = first; at < end; at++) {
    const low = codePoint(pattern[at]);
    const isRange = pattern[at + 1] === '-' && at + 2 < end;
    ranges.push([low, isRange ? codePoint(pattern[at + 2]) : low]);
    if (isRange) at += 2;
  }
  const test = (character: string): boolean => {
    const code = codePoint(character);
    return ranges.some(([low, high]) => low <= code && code <= high) !== negated;
  };
  return { test, end };
}

function codePoint(character: string | undefined): number {
  return character?.codePointAt(0) ?? -1;
}

/**
 * All patterns that a pattern with braces expands to. Braces without a comma, or unclosed ones, are
 * literal.
 */
function expandBraces(pattern: readonly string[]): string[][] {
  for (let open = 0; open < pattern.length; open++) {
    if (pattern[open] === '\\') open++;
    else if (pattern[open] === '{') {
      const parts = readBraces(pattern, open);
      if (parts === undefined) continue;
      const before = pattern.slice(0, open);
      const rests = expandBraces(pattern.slice(parts.end + 1));
      const choices = parts.choices.flatMap(expandBraces);
      if (choices.length * rests.length > MOST_ALTERNATIVES) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `a glob may have at most ${MOST_ALTERNATIVES} alternatives in its braces`,
        );
      }
      return choices.flatMap((choice) => rests.map((rest) => [...before, ...choice, ...rest]));
    }
  }
  return [[...pattern]];
}

function readBraces(
  pattern: readonly string[],
  open: number,
): { readonly choices: string[][]; readonly end: number } | undefined {
  const choices: string[][] = [[]];
  let depth = 0;
  for (let at = open + 1; at < pattern.length; at++) {
    const character = pattern[at] as string;
    if (character === '\\') {
      choices.at(-1)?.push(character, pattern[++at] ?? '');
      continue;
    }
    if (character === '}' && depth === 0)
      return choices.length > 1 ? { choices, end: at } : undefined;
    if (character === ',' && depth === 0) {
      choices.push([]);
      continue;
    }
    if (character === '{') depth++;
    if (character === '}') depth--;
    choices.at(-1)?.push(character);
  }
  return undefined;
}
