import fc from 'fast-check';

/** How a JSON writer spells what it writes. */
export interface Writer {
  readonly name: string;
  readonly string: (text: string) => string;
  readonly number: (value: number) => string;
  readonly comma: string;
  readonly colon: string;
}

const hex = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;
const units = (text: string, pattern: RegExp): string =>
  JSON.stringify(text).replace(pattern, (match) =>
    Array.from({ length: match.length }, (_, at) => hex(match.charCodeAt(at))).join(''),
  );

const plain = (unit: string): string => JSON.stringify(unit).slice(1, -1);
const upperHex = (unit: string): string =>
  `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
const eachUnit = (text: string, spell: (unit: string, at: number) => string): string =>
  Array.from({ length: text.length }, (_, at) => spell(text.charAt(at), at)).join('');

/** The last one escapes every other character: no style rebuilds it. */
export const WRITERS: readonly Writer[] = [
  {
    name: 'JavaScript',
    string: (text) => JSON.stringify(text),
    number: String,
    comma: ',',
    colon: ':',
  },
  {
    name: 'Python',
    string: (text) => units(text, /[\u007f-\uffff]+/g),
    number: (value) => (Number.isSafeInteger(value) ? `${value}.0` : `${value}`),
    comma: ', ',
    colon: ': ',
  },
  {
    name: 'Go',
    string: (text) => units(text, /[<>&\u2028\u2029]/g),
    number: String,
    comma: ',',
    colon: ':',
  },
  {
    name: 'PHP',
    string: (text) => units(text, /[\u0080-\uffff]+/g).replaceAll('/', '\\/'),
    number: String,
    comma: ',',
    colon: ':',
  },
  {
    name: '.NET',
    string: (text) =>
      `"${eachUnit(text, (unit) => (/[<>&'"+`\u007f-\uffff]/.test(unit) ? upperHex(unit) : plain(unit)))}"`,
    number: String,
    comma: ',',
    colon: ':',
  },
  {
    name: 'odd',
    string: (text) =>
      `"${eachUnit(text, (unit, at) => (at % 2 === 1 ? upperHex(unit) : plain(unit)))}"`,
    number: (value) => (Number.isSafeInteger(value) ? `${value}e0` : `${value}`),
    comma: ' ,\t',
    colon: ' :',
  },
];

/** `value` as `writer` writes it. */
export function write(value: unknown, writer: Writer): string {
  if (typeof value === 'string') return writer.string(value);
  if (typeof value === 'number') return writer.number(value);
  if (Array.isArray(value))
    return `[${value.map((item) => write(item, writer)).join(writer.comma)}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(
      ([key, item]) => `${writer.string(key)}${writer.colon}${write(item, writer)}`,
    );
    return `{${fields.join(writer.comma)}}`;
  }
  return JSON.stringify(value);
}

const words = fc.constantFrom(
  'a plain sentence. ',
  'line\nbreak\t',
  '"quoted" \\ ',
  '</tag> & more/less ',
  'é漢字😀',
  '\u2028',
  '\u007f',
  '\b\f\u001f',
  "it's 1 + 1 = `2`",
  '\ud800',
  '\u0001\u0002\u0003',
);

/** Text from empty to a few thousand characters, a lone surrogate now and then. */
const content: fc.Arbitrary<string> = fc
  .array(words, { maxLength: 60 })
  .map((parts) => parts.join(''));

const png = fc
  .uint8Array({ minLength: 48, maxLength: 3000 })
  .map((bytes) => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`);

const part = fc.oneof(
  content.map((text) => ({ type: 'text', text })),
  png.map((url) => ({ type: 'image_url', image_url: { url } })),
  fc.array(fc.nat(0xffffffff), { maxLength: 200 }).map((tokens) => ({ tokens })),
);

export const message = fc.oneof(
  fc.record({
    role: fc.constantFrom('user', 'assistant', 'system'),
    content: fc.oneof(content, fc.array(part, { maxLength: 4 }), fc.constant(null)),
  }),
  fc.record({
    role: fc.constant('assistant'),
    content: fc.constant(null),
    tool_calls: fc.array(
      fc.record({
        id: fc.string(),
        function: fc.record({ name: fc.string(), arguments: content }),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ from: fc.constant('human'), value: content }),
);

/** A conversation of one of the shapes people have, with or without an id. */
export const conversation = fc.record(
  {
    id: fc.oneof(
      fc.uuid(),
      fc.constantFrom('../up', 'nul\u0000', '😀', 'é', 'a/b', 'quote"', 'x'.repeat(400), '\u2028'),
      fc.nat(1e6),
      fc.constant(null),
    ),
    model: fc.oneof(content, fc.constant('m')),
    messages: fc.oneof(fc.array(message, { maxLength: 6 }), fc.constant(null), fc.constant('none')),
    conversations: fc.array(message, { maxLength: 2 }),
    tokens: fc.array(fc.nat(0xffffffff), { maxLength: 300 }),
    metadata: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 4 }),
    temperature: fc.double({ noNaN: true, noDefaultInfinity: true }),
  },
  { requiredKeys: [] },
);
