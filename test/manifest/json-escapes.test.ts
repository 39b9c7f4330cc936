import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ESCAPES,
  escapeText,
  forbiddenEscapes,
  STYLE_COUNT,
  unescapeText,
} from '../../src/manifest/content/json-escapes.ts';

const {
  ascii,
  delete: del,
  slash,
  html,
  lineSeparators,
  longControls,
  upperHex,
  apostrophe,
  equals,
  dotnet,
} = ESCAPES;

const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\u2028',
        '\u2029',
        '\x7f',
        '/',
        '<&>',
        "'",
        '=',
        '+`"',
        '\b\f',
        '\\',
        '\n\t\r',
        '\x1b',
        'é',
        '漢字',
        '😀',
        'plain ascii',
      ),
    ),
  )
  .map((parts) => Buffer.from(parts.join('').toWellFormed?.() ?? parts.join('')));
const style = fc.nat(STYLE_COUNT - 1);

describe('escape styles', () => {
  test('style 0 is that of JSON.stringify', () => {
    fc.assert(
      fc.property(text, (bytes) => {
        expect(escapeText(bytes, 0).toString()).toBe(JSON.stringify(bytes.toString()).slice(1, -1));
      }),
    );
  });

  test('every style writes a JSON string of the same text', () => {
    fc.assert(
      fc.property(text, style, (bytes, chosen) => {
        expect(JSON.parse(`"${escapeText(bytes, chosen)}"`)).toBe(bytes.toString());
      }),
      { numRuns: 1000 },
    );
  });

  test('what a style wrote is understood, and written again as the same bytes', () => {
    fc.assert(
      fc.property(text, style, (bytes, chosen) => {
        const raw = escapeText(bytes, chosen);
        const unescaped = unescapeText(raw);
        expect(unescaped?.text.equals(bytes)).toBe(true);
        expect(escapeText(bytes, unescaped?.style ?? -1).equals(raw)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('adding escapes that a string does not forbid changes nothing, and adding one it forbids does', () => {
    fc.assert(
      fc.property(text, style, style, (bytes, chosen, more) => {
        const raw = escapeText(bytes, chosen);
        const own = unescapeText(raw)?.style ?? -1;
        const forbidden = forbiddenEscapes(raw);
        expect(escapeText(bytes, own | (more & ~forbidden)).equals(raw)).toBe(true);
        expect(own & forbidden).toBe(0);
        if ((more & forbidden) !== 0) expect(escapeText(bytes, own | more).equals(raw)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    [
      'Python',
      ascii | del,
      'a\u007f/é<\u2028😀\b\u001b',
      'a\\u007f/\\u00e9<\\u2028\\ud83d\\ude00\\b\\u001b',
    ],
    [
      'Go',
      html | lineSeparators,
      "<a href='x'>&\u2028é\b",
      "\\u003ca href='x'\\u003e\\u0026\\u2028é\\b",
    ],
    [
      'Go before 1.22',
      html | lineSeparators | longControls,
      '<\u2029\b\f',
      '\\u003c\\u2029\\u0008\\u000c',
    ],
    ['PHP', ascii | slash, 'a/b é \u007f', 'a\\/b \\u00e9 \u007f'],
    [
      '.NET',
      ascii | del | html | upperHex | apostrophe | dotnet,
      '"+<\'ê\n',
      '\\u0022\\u002B\\u003C\\u0027\\u00EA\\n',
    ],
    ['Gson', html | lineSeparators | apostrophe | equals, "a='b'", 'a\\u003d\\u0027b\\u0027'],
  ])('%s writes as its style says', (_, chosen, plain, raw) => {
    expect(escapeText(Buffer.from(plain), chosen).toString()).toBe(raw);
    expect(unescapeText(Buffer.from(raw))?.text.toString()).toBe(plain);
  });

  test.each([
    '\\ud800',
    'a\\udc00b',
    '\\ud800\\u0041',
    '\\u0041',
    '\\u000a',
    '\\u00e9\\u00EA',
    'é\\u00e9',
    '\\u003c<',
    '/\\/',
    '\\b\\u0008',
    '\\ud83d\\uDE00',
  ])('nothing writes %j, so it has no style', (raw) => {
    expect(unescapeText(Buffer.from(raw))).toBeUndefined();
  });
});
