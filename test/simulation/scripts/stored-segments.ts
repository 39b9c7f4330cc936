import type { ManifestKey, ManifestWrite } from '../../../src/backends/contract/manifests.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { check } from '../checks/violation.ts';

/** A put of a manifest with all segments. */
export function putOf(key: ManifestKey): ManifestWrite {
  const entries = [{ body: Buffer.from(key.id), segments: SEGMENTS }];
  return { operation: 'put', key, ifExists: 'replace', fields: { logicalBytes: 1 }, entries };
}

/** Checks that all segments of a manifest can be read as they were put. */
export async function assertReadable(backend: ObjectBackend, key: ManifestKey): Promise<void> {
  const [stored] = await backend.read([key]);
  const fetched = await backend.fetch(stored?.entries[0]?.segments ?? []);
  const isWhole =
    fetched.length === SEGMENTS.length && fetched.every((bytes, at) => isSegment(bytes, at));
  check(isWhole, () => `${key.id} is not as it was put`);
}

function isSegment(bytes: Uint8Array, at: number): boolean {
  const expected = SEGMENTS[at]?.bytes?.();
  return expected !== undefined && Buffer.compare(bytes, expected) === 0;
}
