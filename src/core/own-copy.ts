/**
 * A copy that shares its memory with nothing: whoever gets it may alter it, and it keeps nothing
 * larger alive. (`Buffer.from` takes short copies from a pool.)
 */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
