import { tokenSegmentIds } from '../../cas/token-segment.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import type { StoredReference } from './body.ts';
import { type Composition, visitSkeleton } from './composition.ts';
import type { ContentReader } from './content-reader.ts';
import { REFERENCE } from './reference.ts';

/** The id as written between the quotes of a JSON string. */
export function idText(id: string): Buffer {
  return Buffer.from(JSON.stringify(id).slice(1, -1));
}

/**
 * Returns the JSON text of a conversation as it was written, in pieces. Callers must not change
 * them.
 */
export async function renderText(
  { pieces }: Composition<StoredReference>,
  id: string,
  reader: ContentReader,
  options?: AbortOptions,
): Promise<Buffer[]> {
  const raw = await reader.raw(
    pieces.flatMap(({ references }) => references),
    options,
  );
  const output: Buffer[] = [];
  visitSkeleton(pieces, {
    text: (bytes) => output.push(bytes),
    reference: (_, index) => output.push(raw[index] as Buffer),
    id: () => output.push(idText(id)),
    typedArray: () => {},
  });
  return output;
}

/**
 * Parses the JSON text of a conversation like `JSON.parse`, except that arrays which were a
 * `Uint32Array` become one again. Token arrays never become a string.
 *
 * @throws `TOO_LARGE` when it is longer than the longest JavaScript string.
 */
export async function renderValue(
  composition: Composition<StoredReference>,
  id: string,
  reader: ContentReader,
  options?: AbortOptions,
): Promise<object> {
  const references = composition.pieces.flatMap((piece) => piece.references);
  const isTokens = ({ code }: StoredReference): boolean =>
    code === REFERENCE.tokens || code === REFERENCE.spacedTokens;
  const raw = await reader.raw(
    references.filter((reference) => !isTokens(reference)),
    options,
  );
  const tokens: Buffer[] = [];
  for (const reference of references)
    if (isTokens(reference)) tokens.push(await reader.canonical(reference, options));

  const output: Buffer[] = [];
  // Unguessable, so that no content can equal a placeholder.
  const nonce = crypto.randomUUID();
  let typed = 0;
  let placeholders = 0;
  let rawUsed = 0;
  const closeTyped = (bytes: Buffer): Buffer => {
    const close = bytes.indexOf(0x5d) + 1;
    if (typed === 0 || close === 0) return bytes;
    typed--;
    output.push(bytes.subarray(0, close), Buffer.from('}'));
    return bytes.subarray(close);
  };
  visitSkeleton(composition.pieces, {
    text: (bytes) => output.push(closeTyped(bytes)),
    reference: (reference) => {
      if (isTokens(reference)) output.push(Buffer.from(`"${nonce}",${placeholders++}`));
      else output.push(raw[rawUsed++] as Buffer);
    },
    id: () => output.push(idText(id)),
    typedArray: () => {
      typed++;
      output.push(Buffer.from(`{"${nonce}":`));
    },
  });
  const value = parse(output, id);
  return typedArraysIn(composition) || placeholders > 0 ? fillIn(value, nonce, tokens) : value;
}

function typedArraysIn({ pieces }: Composition<StoredReference>): boolean {
  return pieces.some(({ text }) => text.includes(3));
}

function parse(pieces: readonly Buffer[], id: string): object {
  let text: string;
  try {
    text = Buffer.concat(pieces).toString('utf8');
  } catch (error) {
    throw new VarveError(
      'TOO_LARGE',
      `conversation ${JSON.stringify(id)} is longer than the longest JavaScript string: use ` +
        'getBytes or export',
      { cause: error },
    );
  }
  return parseJson(text, (cause) => {
    const message = `conversation ${JSON.stringify(id)} is stored as invalid JSON: run an audit`;
    return new VarveError('CORRUPT', message, { cause });
  }) as object;
}

type Container = Record<string, unknown>;

/** Replaces placeholders with token arrays. Keeps its own stack, because nesting has no limit. */
function fillIn(root: object, nonce: string, tokens: readonly Buffer[]): object {
  const replacement = (value: object): unknown => {
    if (Array.isArray(value) && value.length === 2 && value[0] === nonce) {
      return Array.from(tokenSegmentIds(tokens[value[1]] as Buffer));
    }
    const inner = Object.hasOwn(value, nonce) ? (value as Container)[nonce] : undefined;
    if (!Array.isArray(inner)) return value;
    return inner[0] === nonce
      ? tokenSegmentIds(tokens[inner[1]] as Buffer)
      : Uint32Array.from(inner as number[]);
  };
  const open: object[] = [root];
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    for (const key of Object.keys(container)) {
      const value = (container as Container)[key];
      if (typeof value !== 'object' || value === null) continue;
      const filled = replacement(value);
      // A plain assignment to __proto__ would set the prototype.
      if (filled !== value)
        Object.defineProperty(container, key, {
          value: filled,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      else open.push(value);
    }
  }
  return root;
}
