import { tokenSegmentIds } from '../../cas/token-segment.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { inTurns, joining, STEP_BYTES, StepMeter, type Steps } from '../../core/steps.ts';
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
  const isFilled = typedArraysIn(composition) || placeholders > 0;
  return inTurns(parsing(output, id, isFilled ? { nonce, tokens } : undefined), options?.signal);
}

/** Token arrays, and the placeholder that stands for them. */
interface Fillings {
  readonly nonce: string;
  readonly tokens: readonly Buffer[];
}

/** Parsing is one step, however long. */
function* parsing(
  pieces: readonly Buffer[],
  id: string,
  fillings: Fillings | undefined,
): Steps<object> {
  const bytes = yield* joining(pieces);
  const isLong = bytes.length > STEP_BYTES;
  if (isLong) yield;
  const text = decode(bytes, id);
  if (isLong) yield;
  const value = parse(text, id);
  if (isLong) yield;
  return fillings === undefined ? value : yield* fillingIn(value, fillings);
}

function typedArraysIn({ pieces }: Composition<StoredReference>): boolean {
  return pieces.some(({ text }) => text.includes(3));
}

function decode(bytes: Buffer, id: string): string {
  try {
    return bytes.toString('utf8');
  } catch (error) {
    throw new VarveError(
      'TOO_LARGE',
      `conversation ${JSON.stringify(id)} is longer than the longest JavaScript string: use ` +
        'getBytes or export',
      { cause: error },
    );
  }
}

function parse(text: string, id: string): object {
  return parseJson(text, (cause) => {
    const message = `conversation ${JSON.stringify(id)} is stored as invalid JSON: run an audit`;
    return new VarveError('CORRUPT', message, { cause });
  }) as object;
}

type Container = Record<string, unknown>;

/** What a key of a value costs to look at, as bytes of a step. */
const KEY_BYTES = 32;

/** Replaces placeholders with token arrays. Keeps its own stack, because nesting has no limit. */
function* fillingIn(root: object, { nonce, tokens }: Fillings): Steps<object> {
  const meter = new StepMeter();
  const open: object[] = [root];
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    for (const key of Object.keys(container)) {
      if (meter.add(KEY_BYTES)) yield;
      const value = (container as Container)[key];
      if (typeof value !== 'object' || value === null) continue;
      const filled = isPlaceholder(value, nonce)
        ? yield* replacing(value, { nonce, tokens })
        : value;
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

function isPlaceholder(value: object, nonce: string): boolean {
  if (Array.isArray(value)) return value.length === 2 && value[0] === nonce;
  return Object.hasOwn(value, nonce) && Array.isArray((value as Container)[nonce]);
}

/** What a placeholder stands for. */
function* replacing(value: object, { nonce, tokens }: Fillings): Steps<unknown> {
  if (Array.isArray(value)) return yield* arrayOf(tokenSegmentIds(tokens[value[1]] as Buffer));
  const inner = (value as Container)[nonce] as unknown[];
  return inner[0] === nonce
    ? tokenSegmentIds(tokens[inner[1] as number] as Buffer)
    : Uint32Array.from(inner as number[]);
}

function* arrayOf(ids: Uint32Array): Steps<number[]> {
  const array: number[] = [];
  for (let at = 0; at < ids.length; at++) {
    array.push(ids[at] as number);
    if (at % STEP_BYTES === STEP_BYTES - 1) yield;
  }
  return array;
}
