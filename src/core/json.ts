/**
 * The value of a JSON text, given as a string or in UTF-8.
 *
 * @param refuse makes the error that is thrown for a text that is not JSON. Default: the cause
 *   itself is thrown.
 */
export function parseJson(
  text: string | Uint8Array,
  refuse: (cause: unknown) => unknown = (cause) => cause,
): unknown {
  try {
    return JSON.parse(typeof text === 'string' ? text : textOf(text));
  } catch (cause) {
    throw refuse(cause);
  }
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
}
