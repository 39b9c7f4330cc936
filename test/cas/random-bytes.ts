import { createCipheriv, createHash } from 'node:crypto';

/** The same incompressible bytes for the same seed, everywhere: AES-128 in counter mode. */
export function randomBytes(seed: number, length: number): Buffer {
  const key = createHash('md5').update(String(seed)).digest();
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}
