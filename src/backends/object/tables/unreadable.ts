import { isUnreadable } from '../../../core/errors.ts';

/** What `read` resolves with, `undefined` where the content cannot be read. */
export async function unlessUnreadable<Content>(
  read: Promise<Content>,
): Promise<Content | undefined> {
  try {
    return await read;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return undefined;
  }
}
