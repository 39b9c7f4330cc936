/** The protocol broke a promise. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Throws a `Violation` with the message unless `isSo`. */
export function check(isSo: boolean, message: () => string): asserts isSo {
  if (!isSo) throw new Violation(message());
}
