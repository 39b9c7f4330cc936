/** What the protocol promised and did not keep. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export function promise(holds: boolean, message: () => string): asserts holds {
  if (!holds) throw new Violation(message());
}
