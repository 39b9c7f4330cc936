/**
 * What one writes without a protocol: every message part is an object under its hash, with a count
 * beside it that is created or, when it is there, read, incremented and written on condition that
 * nobody else did, in 8 tries.
 */
import { createHash } from 'node:crypto';
import { importInternal } from './library.mjs';

const TRIES = 8;

/** @param {string} location */
export async function openPlain(location) {
  const { openS3Objects } = await importInternal('backends/storage/s3/open-s3-objects');
  const { RequestMeter } = await importInternal('backends/storage/request-meter');
  const meter = new RequestMeter();
  /** @type {import('../../src/backends/storage/object-store.ts').ObjectStore} */
  const objects = await openS3Objects(location, meter);
  return new PlainDesign(objects, () => meter.metrics());
}

class PlainDesign {
  /**
   * @param {import('../../src/backends/storage/object-store.ts').ObjectStore} objects
   * @param {() => import('../../src/index.ts').RequestMetrics} metrics
   */
  constructor(objects, metrics) {
    this.objects = objects;
    this.metrics = metrics;
  }

  /** @param {Record<string, unknown>} conversation */
  async put(conversation) {
    const parts = partsOf(conversation);
    // Equal parts of one conversation one after the other, or it would be in its own way.
    await Promise.all(
      [...groupByHash(parts).values()].map(async (group) => {
        for (const part of group) await this.putPart(part);
      }),
    );
    const manifest = Buffer.from(
      JSON.stringify({ id: conversation['id'], parts: parts.map(hashOf) }),
    );
    await this.objects.put(`manifests/${hashOf(manifest)}`, manifest, { kind: 'any' });
  }

  /** @param {Buffer} part */
  async putPart(part) {
    const hash = hashOf(part);
    await this.objects.put(`blobs/${hash}`, part, { kind: 'any' });
    await this.increment(hash);
  }

  /** @param {string} hash */
  async increment(hash) {
    const key = `counts/${hash}`;
    const created = await this.objects.put(key, Buffer.from('1'), { kind: 'absent' });
    if (created.outcome === 'stored') return;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const stored = await this.objects.get(key);
      if (stored === undefined) continue;
      const next = Buffer.from(String(Number(Buffer.from(stored.body).toString()) + 1));
      const result = await this.objects.put(key, next, { kind: 'match', etag: stored.etag });
      if (result.outcome === 'stored') return;
    }
    throw new Error(`the count of ${hash} could not be incremented in ${TRIES} tries`);
  }

  close() {
    return this.objects.close();
  }
}

/** @param {readonly Buffer[]} parts */
function groupByHash(parts) {
  /** @type {Map<string, Buffer[]>} */
  const groups = new Map();
  for (const part of parts) {
    const group = groups.get(hashOf(part));
    if (group === undefined) groups.set(hashOf(part), [part]);
    else group.push(part);
  }
  return groups;
}

/** @param {Uint8Array} bytes */
function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * The parts of messages, whatever the conversation's shape, and the tools.
 *
 * @param {Record<string, unknown>} conversation
 */
function partsOf(conversation) {
  const { messages, conversations, tools } = conversation;
  const list = /** @type {Record<string, unknown>[]} */ (messages ?? conversations ?? []);
  const parts = list.flatMap(({ content, value, tool_calls: calls }) => [
    ...(Array.isArray(content) ? content : [content ?? value]),
    ...(Array.isArray(calls) ? calls : []),
  ]);
  const all = [...parts, ...(tools === undefined ? [] : [tools])].filter(
    (part) => part !== undefined && part !== null,
  );
  return all.map((part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)));
}
