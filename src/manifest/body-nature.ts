import type { BodyNature } from '../backends/contract/audit.ts';
import { isVarveError } from '../core/errors.ts';
import { decodeBlobEntry } from './blobs/blob-body.ts';
import { entryHead } from './content/body.ts';

/**
 * Classifies a body as that of a conversation, a blob or a pin, without its manifest. All three
 * begin with a version of 1.
 *
 * @returns `undefined` for a body that is none of them.
 */
export function natureOf(body: Uint8Array, references: number): BodyNature | undefined {
  if (body.length === 1)
    return references === 1 ? { kind: 'pin', isFirst: true, isLast: true } : undefined;
  const blob = blobNature(body, references);
  if (blob !== undefined) return blob;
  try {
    const isFirst = entryHead(body).kind === 'record';
    return { kind: 'conversation', isFirst, isLast: false };
  } catch (error) {
    if (isVarveError(error)) return undefined;
    throw error;
  }
}

/**
 * A conversation's body that also decodes as a blob's would need a skeleton of nothing but lengths.
 */
function blobNature(body: Uint8Array, references: number): BodyNature | undefined {
  try {
    const { lengths, end } = decodeBlobEntry(body, 'body');
    if (lengths.length !== references) return undefined;
    return { kind: 'blob', isFirst: undefined, isLast: end !== undefined };
  } catch (error) {
    if (isVarveError(error)) return undefined;
    throw error;
  }
}
