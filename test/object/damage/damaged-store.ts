import { isDeepStrictEqual } from 'node:util';
import type { Finding } from '../../../src/backends/contract/audit.ts';
import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import {
  manifestObjectKey,
  referrerOf,
  segmentKey,
  sidecarKey,
} from '../../../src/backends/object/format/keys.ts';
import { decodeRecord, encodeRecord } from '../../../src/backends/object/format/manifest-codec.ts';
import type { ManifestRecord } from '../../../src/backends/object/format/manifest-record.ts';
import {
  type Generation,
  type Sidecar,
  type Token,
  tokenOf,
} from '../../../src/backends/object/format/sidecar.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { type OpenObjectsOptions, openObjects } from '../../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { isVarveError } from '../../../src/core/errors.ts';
import {
  auditOf,
  commit,
  contentOf,
  conversation,
  entry,
  put,
  segment,
} from '../../conformance/builders.ts';
import { StandingClock } from '../standing-clock.ts';
import { alterHeader, alterJson, bytesOf, type Json, keysBelow, write } from './stored-objects.ts';

export const TEXT = { a: 'text of a', b: 'text of b', shared: 'text of both' };
export const KEY = { a: conversation('a'), b: conversation('b') };
export const MANIFEST = { a: manifestObjectKey(KEY.a), b: manifestObjectKey(KEY.b) };

/** A store on objects in memory, with a clock of its own, that tests can damage. */
export class DamagedStore {
  readonly clock = new StandingClock();
  readonly objects = new MemoryObjectStore({ now: () => this.clock.time });

  /** Opens a store with two conversations that have one segment each, and share a third one. */
  static async open(options: OpenObjectsOptions = {}): Promise<DamagedStore> {
    const store = new DamagedStore();
    await store.use(async (backend) => {
      for (const id of ['a', 'b'] as const) {
        await commit(backend, put(id, [entry(`body of ${id}`, TEXT[id], TEXT.shared)]));
      }
    }, options);
    return store;
  }

  backend(options: OpenObjectsOptions = {}): Promise<ObjectBackend> {
    return openObjects(this.objects, options, { clock: this.clock });
  }

  /** Works in a process of its own, which opens the store and closes it. */
  async use<Result>(
    work: (backend: ObjectBackend) => Promise<Result>,
    options: OpenObjectsOptions = {},
  ): Promise<Result> {
    const backend = await this.backend(options);
    try {
      return await work(backend);
    } finally {
      await backend.close();
    }
  }

  /**
   * Starts a writer that takes segments for a manifest, a text among them, and then stops for ever.
   */
  async dropWriter(key: ManifestKey, text: string): Promise<void> {
    const writer = await this.backend();
    await new Promise<void>((isStored) => {
      async function* entries() {
        // Enough to be stored before the stream ends.
        const large = [1, 2, 3].map((byte) => segment(Buffer.alloc(3_000_000, byte)));
        yield entry('first', text, ...large);
        isStored();
        await new Promise(() => {});
      }
      void writer.publish({ operation: 'put', key, ifExists: 'replace' }, entries(), () => ({
        logicalBytes: 1,
      }));
    });
  }

  keys(prefix = ''): Promise<string[]> {
    return keysBelow(this.objects, prefix);
  }

  /** The tag of every object by its key, to compare with later ones. */
  async snapshot(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.objects.list('')).objects.map(({ key, etag }) => [key, etag]));
  }

  bytes(key: string): Promise<Buffer> {
    return bytesOf(this.objects, key);
  }

  write(key: string, body: Uint8Array | string): Promise<void> {
    return write(this.objects, key, body);
  }

  async flip(key: string, at = -1): Promise<void> {
    const body = await this.bytes(key);
    const position = at < 0 ? body.length + at : at;
    body[position] = (body[position] as number) ^ 1;
    await this.write(key, body);
  }

  sidecarKey(text: string): string {
    return sidecarKey(segment(text).address);
  }

  async sidecar(text: string): Promise<Sidecar> {
    return JSON.parse((await this.bytes(this.sidecarKey(text))).toString());
  }

  /** The key of the data that the sidecar names. */
  async dataKey(text: string): Promise<string> {
    return segmentKey(segment(text).address, (await this.sidecar(text)).gen);
  }

  alterSidecar(text: string, change: (sidecar: Sidecar) => Json): Promise<void> {
    return alterJson(this.objects, this.sidecarKey(text), change);
  }

  async record(objectKey: string): Promise<ManifestRecord> {
    return decodeRecord(await this.bytes(objectKey), objectKey, undefined);
  }

  async alterRecord(
    objectKey: string,
    change: (record: ManifestRecord) => Partial<ManifestRecord>,
  ): Promise<void> {
    const record = await this.record(objectKey);
    await this.write(objectKey, encodeRecord({ ...record, ...change(record) }));
  }

  /** Changes the JSON of a manifest's object, as a later version may do. */
  alterHeader(objectKey: string, change: (header: Json) => Json): Promise<void> {
    return alterHeader(this.objects, objectKey, change);
  }

  async token(objectKey: string, text: string): Promise<Token> {
    const hold = (await this.record(objectKey)).current?.references.get(segment(text).address);
    if (hold === undefined) throw new Error(`${objectKey} does not hold "${text}"`);
    return tokenOf(referrerOf(objectKey), hold.attempt);
  }

  /** Audits in a process of its own. Returns the findings. */
  findings(options: { repair?: boolean } = {}): Promise<Finding[]> {
    return this.use(async (backend) => (await auditOf(backend, options)).findings);
  }

  /**
   * Reads each conversation. Returns `whole`, its content if that is wrong, or the code of the
   * error.
   */
  async read(): Promise<Record<'a' | 'b', string>> {
    return this.use(async (backend) => ({
      a: await readFrom(backend, 'a'),
      b: await readFrom(backend, 'b'),
    }));
  }
}

async function readFrom(backend: ObjectBackend, id: 'a' | 'b'): Promise<string> {
  try {
    const content = await contentOf(backend, id);
    const isWhole = isDeepStrictEqual(content, [
      { body: `body of ${id}`, segments: [TEXT[id], TEXT.shared] },
    ]);
    return isWhole ? 'whole' : content === undefined ? 'absent' : JSON.stringify(content);
  } catch (error) {
    if (!isVarveError(error)) throw error;
    return error.code;
  }
}

/** A generation that no segment has had. */
export const OTHER_GENERATION = 'AAAAAAAAAAAAb9' as Generation;
