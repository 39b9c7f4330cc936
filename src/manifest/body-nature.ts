import type { BodyNature } from '../backends/contract/maintenance.ts';
import { isVarveError } from '../core/errors.ts';
import { decodeBlobEntry } from './blobs/blob-body.ts';
import { entryHead } from './content/body.ts';

/**
 * Tells a conversation's body from those of blobs and pins, when nothing else says what it is. The
 * three begin alike: with a version of 1.
 *
 * @returns `undefined` for what is none of them.
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
 * A conversation's body that can be read as a blob's would have a skeleton of nothing but lengths.
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
