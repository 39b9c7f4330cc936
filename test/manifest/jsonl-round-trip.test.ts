import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { Conversations } from '../../src/manifest/conversations/conversations.ts';
import { exportJsonl } from '../../src/manifest/transfer/export.ts';
import { type ImportOptions, importJsonl } from '../../src/manifest/transfer/import.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { times } from '../thorough.ts';
import { conversation, WRITERS, write } from './json-writers.ts';

async function exported(backend: Backend, ids?: string[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of exportJsonl(backend, ids && { ids })) pieces.push(piece);
  return Buffer.concat(pieces);
}

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) list.push(bytes.subarray(at, at + size));
  return list;
}

const imported = (backend: Backend, text: string | Uint8Array, options?: ImportOptions) =>
  importJsonl(backend, [Buffer.from(text as string)], options);

/** A file of lines by various writers, each id once. */
const file = fc
  .record({
    lines: fc.array(
      fc.record({
        value: conversation,
        writer: fc.constantFrom(...WRITERS),
        before: fc.constantFrom('', '', '', ' ', '\t'),
        after: fc.constantFrom('\n', '\n', '\n', '\r\n', ' \n', '\n\n', '\r\n \r\n', '\n\ufeff'),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    start: fc.constantFrom('', '', '\ufeff', '\n', '\ufeff\r\n', ' \n\n\ufeff'),
    end: fc.constantFrom('\n', '', '\r\n', ' ', '\n\n'),
  })
  .map(({ lines, start, end }) => {
    const seen = new Set<string>();
    const unique = lines.filter(
      ({ value: { id } }) => id == null || (!seen.has(String(id)) && seen.add(String(id))),
    );
    const text = unique.map(
      ({ value, writer, before, after }, index) =>
        before + write(value, writer) + (index === unique.length - 1 ? '' : after),
    );
    return { bytes: Buffer.from(start + text.join('') + end), records: unique.length };
  });

describe('import then export', () => {
  test('gives the same bytes, whatever wrote them and however they arrive, and again changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.integer({ min: 1, max: 5000 }),
        fc.constantFrom(1, 40, 256),
        async ({ bytes, records }, size, inlineBelow) => {
          const backend = new ModelBackend(undefined, { inlineBelow });
          const report = await importJsonl(backend, pieces(bytes, size));
          expect(report).toMatchObject({ records, failed: 0, bytes: bytes.length });
          expect((await exported(backend)).equals(bytes)).toBe(true);
          const again = await importJsonl(backend, pieces(bytes, size));
          expect(again).toMatchObject({ records, unchanged: records, newSegments: 0 });
          expect((await exported(backend)).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: times(20, 150) },
    );
  });

  test('get gives what JSON.parse gives of each line', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.constantFrom(...WRITERS), async (value, writer) => {
        const backend = new ModelBackend(undefined, { inlineBelow: 20 });
        const line = write({ ...value, id: 'x' }, writer);
        await imported(backend, line);
        const stored = await new Conversations(backend).get('x');
        expect(stored).toStrictEqual(JSON.parse(line));
        expect(JSON.stringify(stored)).toBe(JSON.stringify(JSON.parse(line)));
      }),
      { numRuns: times(20, 150) },
    );
  });

  test('works for records longer than any buffer, and for skeletons too long for a body', async () => {
    const messages = Array.from({ length: 60_000 }, (_, index) => ({
      role: 'user',
      content: `short ${index}`,
    }));
    const long = 'the quick brown fox \u00e9 "\n'.repeat(500_000);
    const bytes = Buffer.from(
      [
        { id: 'many', messages },
        { id: 'long', messages: [{ role: 'tool', content: long }] },
        { id: 'last' },
      ]
        .map((value) => `${JSON.stringify(value)}\n`)
        .join(''),
    );
    const backend = new ModelBackend();
    await importJsonl(backend, pieces(bytes, 65_536));
    expect((await exported(backend)).equals(bytes)).toBe(true);
    expect((await new Conversations(backend).stat('many'))?.messages).toBe(60_000);
    expect(
      ((await new Conversations(backend).get('long')) as { messages: { content: string }[] })
        .messages[0]?.content,
    ).toBe(long);
  });

  test('an export of some ids follows their order and ends every line', async () => {
    const backend = new ModelBackend();
    await imported(backend, '\ufeff{"id":"a"}\r\n{"id":"b"}\n\n{"id":"c"}');
    expect((await exported(backend, ['c', 'a', 'b'])).toString()).toBe(
      '{"id":"c"}\n{"id":"a"}\r\n{"id":"b"}\n\n',
    );
    await expect(exported(backend, ['a', 'x'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('an export up to an id that is not stored yields all before it, then fails', async () => {
    const backend = new ModelBackend();
    await imported(backend, '{"id":"a"}\n{"id":"b"}\n{"id":"c"}\n');
    const received: Uint8Array[] = [];
    const exporting = (async () => {
      for await (const piece of exportJsonl(backend, { ids: ['a', 'b', 'x', 'c'] }))
        received.push(piece);
    })();
    await expect(exporting).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(Buffer.concat(received).toString()).toBe('{"id":"a"}\n{"id":"b"}\n');
  });

  test('a file imported after one without a final newline begins on a line of its own', async () => {
    const backend = new ModelBackend();
    await imported(backend, '{"id":"a"}');
    await imported(backend, '\ufeff{"id":"b"}\n');
    expect((await exported(backend)).toString()).toBe('{"id":"a"}\n{"id":"b"}\n');
  });
});

describe('import', () => {
  test('derives ids from content and occurrence', async () => {
    const backend = new ModelBackend();
    const first = await imported(backend, '{"a":1}\n{"a":2}\n{"a":1}\n{"a":1}\n');
    expect(first.created).toBe(4);
    const ids = [];
    for await (const { id } of new Conversations(backend).list()) ids.push(id);
    expect(ids[2]).toBe(`${ids[0]}-2`);
    expect(ids[3]).toBe(`${ids[0]}-3`);
    expect(ids[0]).toBe('line-015abd7f5cc57a2dd94b7590f04ad808');
    expect((await imported(backend, '{"a":1}')).unchanged).toBe(1);
  });

  test('stops at a malformed record, says where, and has stored what came before', async () => {
    const backend = new ModelBackend();
    const text = '\n{"id":"a"}\n\n{"id":"b"]\n{"id":"c"}\n';
    await expect(imported(backend, text)).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
      message:
        'line 4 (byte offset 13): byte 9: expected , or }; the import stopped, 1 record is stored',
    });
    expect((await exported(backend)).toString()).toBe('\n{"id":"a"}\n\n');
  });

  test('skips malformed records when asked, and reports them', async () => {
    const backend = new ModelBackend();
    const long = 'x'.repeat(513);
    const report = await imported(
      backend,
      `nonsense\n{"id":"a"}\n{"id":""}\n{"id":"${long}"}\n{"id":"\\ud800"}\n{"id":"b"}\n[]\n`,
      { onError: 'skip' },
    );
    expect(report).toMatchObject({ records: 7, created: 2, failed: 5 });
    expect(
      report.errors.map(({ lineNumber, byteOffset, error }) => [
        lineNumber,
        byteOffset,
        error.code,
      ]),
    ).toEqual([
      [1, 0, 'MALFORMED_INPUT'],
      [3, 20, 'INVALID_ARGUMENT'],
      [4, 30, 'INVALID_ARGUMENT'],
      [5, 553, 'INVALID_ARGUMENT'],
      [7, 580, 'MALFORMED_INPUT'],
    ]);
    expect((await exported(backend)).toString()).toBe('{"id":"a"}\n{"id":"b"}\n');
  });

  test('keeps the fields that a store filters by', async () => {
    const backend = new ModelBackend();
    await imported(
      backend,
      [
        '{"id":"iso","model":"m","application":"app","created_at":"2025-10-31T07:34:56.577835"}',
        '{"id":"zone","created_at":"2025-10-31T07:34:56+02:00"}',
        '{"id":"seconds","created":1700000000}',
        '{"id":"date","created_at":"2025-10-31","created":5}',
        '{"id":"none","created_at":"yesterday","model":7,"application":"\\ud800"}',
      ].join('\n'),
    );
    const conversations = new Conversations(backend);
    expect(await conversations.stat('iso')).toMatchObject({
      model: 'm',
      application: 'app',
      createdAt: Date.UTC(2025, 9, 31, 7, 34, 56, 577),
    });
    expect(await conversations.stat('zone')).toMatchObject({
      createdAt: Date.UTC(2025, 9, 31, 5, 34, 56),
    });
    expect(await conversations.stat('seconds')).toMatchObject({ createdAt: 1_700_000_000_000 });
    expect(await conversations.stat('date')).toMatchObject({ createdAt: Date.UTC(2025, 9, 31) });
    const none = await conversations.stat('none');
    expect(none?.createdAt).toBeGreaterThan(Date.now() - 60_000);
    expect(none).not.toHaveProperty('model');
    expect(none).not.toHaveProperty('application');
  });

  test('refuses a record longer than the limit, naming its line', async () => {
    const backend = new ModelBackend();
    const text = Buffer.from(`{"id":"a"}\n{"id":"b","x":"${'x'.repeat(3_000_000)}"}\n`);
    await expect(
      importJsonl(backend, pieces(text, 1000), { maxRecordBytes: 1_000_000 }),
    ).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('line 2:'),
    });
  });

  test('stores equal content once, however it was escaped', async () => {
    const backend = new ModelBackend(undefined, { inlineBelow: 20 });
    const text = 'a long message / with "é" in it';
    const lines = WRITERS.filter(({ name }) => name !== 'odd').map((writer, index) =>
      write({ id: `${index}`, messages: [{ content: text }] }, writer),
    );
    const report = await imported(backend, lines.join('\n'));
    expect(report).toMatchObject({
      created: lines.length,
      newSegments: 1,
      newBytes: Buffer.byteLength(text),
    });
  });

  test('stores the bytes of base64 data URLs', async () => {
    const backend = new ModelBackend();
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, index) => (index * 7919) & 255));
    const image = (mime: string) => ({ url: `data:${mime};base64,${bytes.toString('base64')}` });
    const report = await imported(
      backend,
      `${JSON.stringify({ id: 'a', messages: [{ content: [image('image/png'), image('image/x')] }] })}\n`,
    );
    expect(report).toMatchObject({ newSegments: 1, newBytes: bytes.length });
  });

  test('can be aborted', async () => {
    const controller = new AbortController();
    const backend = new ModelBackend();
    async function* source() {
      for (let index = 0; ; index++) {
        if (index === 20) controller.abort();
        yield Buffer.from(`{"id":"${index}","x":"${'x'.repeat(1_000_000)}"}\n`);
      }
    }
    await expect(
      importJsonl(backend, source(), { signal: controller.signal }),
    ).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});
