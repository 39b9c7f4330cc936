import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import {
  append,
  commit,
  contentOf,
  conversation,
  entry,
  put,
  readOne,
  segment,
  stream,
  tokens,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

/** Text, ids and bytes: what is compressed, packed and stored as it is, short and long. */
const CONTENTS = [
  segment(Buffer.from('a short text')),
  segment(Buffer.from('a longer text, '.repeat(3000))),
  segment(randomBytes(1, 400)),
  segment(randomBytes(2, 700_000)),
  tokens([1, 2, 3, 2 ** 32 - 1]),
];

function scribble(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] as number) ^ 0xff;
}

/** The bytes of all contents, each read twice by one call. */
async function fetchTwice(backend: Backend): Promise<Uint8Array[]> {
  const found = await backend.find(CONTENTS.map(({ address }) => address));
  const locators = found.map((locator) => locator ?? expect.unreachable());
  return backend.fetch([...locators, ...locators]);
}

function expected(): Buffer[] {
  return CONTENTS.map(({ bytes }) => Buffer.from(bytes?.() ?? []));
}

export function describeOwnership(fixture: Fixture): void {
  describe('bytes that were handed out', () => {
    test('of segments are the reader’s: no other sees what it does to them', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', ...CONTENTS)]));
      for (let round = 0; round < 3; round++) {
        const fetched = await fetchTwice(backend);
        for (const [index, bytes] of fetched.entries()) {
          expect(Buffer.compare(bytes, expected()[index % CONTENTS.length] as Buffer)).toBe(0);
          scribble(bytes);
        }
      }
      expect((await contentOf(backend, 'x'))?.[0]?.segments.map(({ length }) => length)).toEqual(
        expected().map(({ length }) => length),
      );
    });

    test('of bodies are the reader’s, short and long, of one entry and of many', async () => {
      const { backend } = fixture;
      const bodies = [
        '',
        'short',
        'long '.repeat(10_000),
        randomBytes(3, 500),
        randomBytes(4, 3_000_000),
      ].map((body) => Buffer.from(body));
      await commit(
        backend,
        put(
          'x',
          bodies.map((body) => entry(body, 'aaa')),
        ),
      );
      await commit(backend, append('x', [entry('added')]));
      for (let round = 0; round < 3; round++) {
        const manifest = (await readOne(backend, 'x')) ?? expect.unreachable();
        const [newest] = await backend.read([conversation('x')], { entries: 'newest' });
        const read = [...manifest.entries, ...(newest?.entries ?? [])];
        const all = [...bodies, Buffer.from('added'), Buffer.from('added')];
        expect(read.map(({ body }, index) => Buffer.compare(body, all[index] as Buffer))).toEqual(
          all.map(() => 0),
        );
        for (const { body, segments } of read) {
          scribble(body);
          (segments as unknown[]).fill('scribbled');
        }
      }
    });

    test('share no memory with anything else', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', ...CONTENTS), entry('2')]));
      const manifest = (await readOne(backend, 'x')) ?? expect.unreachable();
      const given = [...(await fetchTwice(backend)), ...manifest.entries.map(({ body }) => body)];
      for (const { buffer, byteLength } of given) expect(buffer.byteLength).toBe(byteLength);
    });
  });

  describe('bytes that were handed in', () => {
    test('are the writer’s again once they are stored', async () => {
      const { backend } = fixture;
      const own = expected().map((bytes, index) => ({
        ...segment(bytes),
        encoding: CONTENTS[index]?.encoding ?? 'bytes',
      }));
      const body = Buffer.from('body');
      await commit(backend, put('x', [entry(body, ...own)]));
      const streamed = Buffer.from('streamed');
      const { entries: _, fields: __, ...write } = put('y', []);
      await backend.publish(write, stream([entry(body, segment(streamed))]), () => ({
        logicalBytes: 1,
      }));
      for (const { bytes } of own) scribble(bytes?.() ?? body);
      scribble(body);
      scribble(streamed);
      await commit(backend, append('x', [entry('added')]));
      expect(
        (await fetchTwice(backend)).map((bytes, index) =>
          Buffer.compare(bytes, expected()[index % 5] as Buffer),
        ),
      ).toEqual(Array(10).fill(0));
      expect((await contentOf(backend, 'x'))?.map((each) => each.body)).toEqual(['body', 'added']);
      expect(await contentOf(backend, 'y')).toEqual([{ body: 'body', segments: ['streamed'] }]);
    });
  });
}
