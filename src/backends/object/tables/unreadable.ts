import { isUnreadable } from '../../../core/errors.ts';

/** Resolves with what `read` resolves with; `undefined` when the content is unreadable. */
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
