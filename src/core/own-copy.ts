/**
 * Copies bytes into memory of their own: whoever gets the copy may change it, and it keeps no
 * larger buffer alive. (`Buffer.from` takes short copies from a shared pool.)
 */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
