import { isVarveError, type VarveError } from '../../errors.ts';

/**
 * Whether an object's content, rather than the service, keeps it from being read: it is damaged, or a newer Varve wrote it. An
 * audit tells of it; work on everything else goes on.
 */
export function isUnreadable(error: unknown): error is VarveError {
  return isVarveError(error, 'CORRUPT') || isVarveError(error, 'UNSUPPORTED_FORMAT');
}

/** What `read` resolves with, `undefined` where the content cannot be read. */
export async function unlessUnreadable<Content>(read: Promise<Content>): Promise<Content | undefined> {
  try {
    return await read;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return undefined;
  }
}
