import type { Backend } from '../../../src/backends/contract/backend.ts';
import type {
  ManifestKey,
  ManifestWrite,
  NewEntry,
  NewSegment,
  StoredManifest,
} from '../../../src/backends/contract/manifests.ts';
import { addressOf } from '../../../src/core/address.ts';
import { isVarveError } from '../../../src/core/errors.ts';

/**
 * Content that follows from its name alone, so that whoever reads it can check every byte
 * without having seen it written.
 */

/** The text of a segment, up to some kilobytes long. */
function textOf(name: string): string {
  const repeats = 1 + (addressNumber(name) % 60);
  let text = `segment ${name}:`;
  for (let line = 0; line < repeats; line++)
    text += ` line ${line} of ${name} ${addressNumber(`${name}/${line}`)}\n`;
  return text;
}

function addressNumber(name: string): number {
  return Number.parseInt(addressOf(Buffer.from(name)).slice(0, 8), 16);
}

function segmentNamed(name: string): NewSegment {
  const bytes = Buffer.from(textOf(name));
  return { address: addressOf(bytes), encoding: 'bytes', bytes: () => bytes };
}

/** An entry that names its segments in its body. */
export function entryOf(names: readonly string[]): NewEntry {
  return { body: Buffer.from(JSON.stringify(names)), segments: names.map(segmentNamed) };
}

/**
 * Names of the segments of entry `entry` of conversation `number`: some are shared with other
 * conversations.
 */
export function namesOf(number: number, entry: number): string[] {
  return [
    `own ${number}.${entry}`,
    `own too ${number}.${entry}`,
    `shared ${number % 7}`,
    `pair ${number >> 1}`,
  ];
}

export function keyOf(number: number): ManifestKey {
  return { kind: 'conversation', id: `conversation ${number}` };
}

export function putOf(number: number, entries = 1 + (number % 3)): ManifestWrite {
  return {
    operation: 'put',
    key: keyOf(number),
    ifExists: 'error',
    fields: {
      logicalBytes: 1000 + number,
      application: `application ${number % 5}`,
      model: 'm',
      createdAt: number,
    },
    entries: Array.from({ length: entries }, (_, entry) => entryOf(namesOf(number, entry))),
  };
}

/**
 * Reads a manifest and compares every segment with what its body says it is.
 *
 * @returns the names in each body, `undefined` when the manifest does not exist.
 */
export async function readNames(
  backend: Backend,
  key: ManifestKey,
): Promise<string[][] | undefined> {
  for (;;) {
    const [manifest] = await backend.read([key]);
    if (manifest === undefined) return undefined;
    try {
      return await verified(backend, manifest);
    } catch (error) {
      // Without a grace, what another process replaced meanwhile may be collected already.
      const [now] = await backend.heads([key]);
      if (!isVarveError(error, 'NOT_FOUND') || now?.revision === manifest.revision) throw error;
    }
  }
}

async function verified(backend: Backend, manifest: StoredManifest): Promise<string[][]> {
  const all: string[][] = [];
  for (const { body, segments } of manifest.entries) {
    const names = JSON.parse(Buffer.from(body).toString()) as string[];
    const bytes = await backend.fetch(segments);
    const texts = bytes.map((each) => Buffer.from(each).toString());
    if (names.length !== texts.length || names.some((name, at) => texts[at] !== textOf(name))) {
      throw new Error(
        `${manifest.key.id} says ${names.join()} but holds ` +
          `${texts.map((text) => text.slice(0, 40)).join()}`,
      );
    }
    all.push(names);
  }
  return all;
}
