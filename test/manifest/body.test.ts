import { describe, expect, test } from 'vitest';
import type { Locator, NewEntry, StoredEntry } from '../../src/backends/contract/manifests.ts';
import { finish } from '../../src/core/steps.ts';
import { decodeEntry, encodingEntry, entryHead, spillOf } from '../../src/manifest/content/body.ts';
import { ESCAPES } from '../../src/manifest/content/json-escapes.ts';
import { RecordEncoder } from '../../src/manifest/content/record.ts';
import { REFERENCE } from '../../src/manifest/content/reference.ts';

const SHAPE = {
  kind: 'record',
  hasMessages: true,
  nonEmpty: true,
  terminator: Buffer.from('\n'),
  lead: Buffer.alloc(0),
  envelope: undefined,
} as const;

/** As a backend gives it back, the position of each segment for its locator. */
function stored(entry: NewEntry): StoredEntry {
  return {
    body: entry.body,
    segments: entry.segments.map((_, index) => index as unknown as Locator),
  };
}

function encode(line: string, shape: Partial<Parameters<typeof encodingEntry>[0]> = {}): NewEntry {
  const record = new RecordEncoder(10).encode(Buffer.from(line));
  return finish(encodingEntry({ ...SHAPE, ...shape }, record));
}

describe('the body of an entry', () => {
  test('of a plain record is its skeleton after three bytes', () => {
    const { body, segments } = encode('{"id":"x","messages":[{"content":"a long message"}]}');
    expect([...body.subarray(0, 3)]).toEqual([1, 2 | 4 | 8, 0]);
    expect(Buffer.from(body.subarray(3)).toString()).toBe(
      '{"id":"\u0002","messages":[{"content":"\u0001"}]}',
    );
    expect(Buffer.from(segments[0]?.bytes?.() ?? []).toString()).toBe('a long message');
  });

  test('names one style for all strings that can share it', () => {
    const { body } = encode(
      '{"messages":["only ascii here","caf\\u00e9 and more","and\\nlines\\n"]}',
    );
    expect([...body.subarray(0, 3)]).toEqual([1, 2 | 4 | 8, ESCAPES.ascii]);
  });

  test('lists what is not in that style', () => {
    const image = `data:image/png;base64,${Buffer.alloc(60, 7).toString('base64')}`;
    const long = 'abc '.repeat(30_000);
    const entry = encode(
      '{"messages":["caf\\u00e9 and more","raw caf\u00e9 here","\\ud800 ' +
        `alone","${image}","a\\nb\\nc\\nd\\ne","${long}"],"tokens":[1, 2, 3]}`,
    );
    const { references, text } = decodeEntry(stored(entry));
    expect(references.map(({ code }) => code)).toEqual([
      REFERENCE.text + ESCAPES.ascii,
      REFERENCE.text,
      REFERENCE.verbatim,
      REFERENCE.base64,
      REFERENCE.text + ESCAPES.ascii,
      REFERENCE.text,
      REFERENCE.spacedTokens,
    ]);
    expect(references.map(({ digest }) => digest !== undefined)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
    expect(references.flatMap(({ locators }) => locators)).toEqual(
      entry.segments.map((_, index) => index),
    );
    expect(text.toString()).toContain('"data:image/png;base64,\u0001"');
    expect(text.toString()).toContain('"tokens":[\u0001]');
  });

  test('keeps terminator, lead and envelope', () => {
    const terminator = Buffer.from('\r\n \n');
    const lead = Buffer.from('\ufeff\n');
    const envelope = { head: 3, messages: 2 };
    const decoded = decodeEntry(
      stored(
        encode('{"a":[1,2]}', { kind: 'extend', terminator, lead, envelope, nonEmpty: false }),
      ),
    );
    expect(decoded).toMatchObject({
      kind: 'extend',
      terminator,
      lead,
      envelope,
      hasMessages: true,
      nonEmpty: false,
    });
    expect(decoded.text.toString()).toBe('{"a":[1,2]}');
  });

  test('spills into segments when it is long', () => {
    const line = JSON.stringify({ messages: Array.from({ length: 200_000 }, (_, index) => index) });
    const entry = encode(line);
    expect(entry.body.length).toBeLessThan(64);
    const spill = spillOf(stored(entry));
    const payload = Buffer.concat(entry.segments.map(({ bytes }) => bytes?.() ?? Buffer.alloc(0)));
    expect(spill?.locators).toHaveLength(entry.segments.length);
    expect(decodeEntry(stored(entry), payload).text.equals(Buffer.from(line))).toBe(true);
    expect(entryHead(entry.body)).toEqual({ kind: 'record', hasMessages: true, nonEmpty: true });
  });

  test('is the same for the same line, whatever was encoded before', () => {
    const line = Buffer.from(
      `{"messages":["raw / slash in here","esc\\/aped slash here","caf\\u00e9 and more"]}`,
    );
    const fresh = finish(encodingEntry(SHAPE, new RecordEncoder(10).encode(line)));
    const used = new RecordEncoder(10);
    used.encode(
      Buffer.from(
        '{"messages":["raw / slash in here","esc\\/aped slash here","\\u2028 and more text"]}',
      ),
    );
    used.content.beginBatch();
    const again = finish(encodingEntry(SHAPE, used.encode(line)));
    expect(again.body).toEqual(fresh.body);
    expect(again.segments.map(({ address }) => address)).toEqual(
      fresh.segments.map(({ address }) => address),
    );
    expect(again.segments.map(({ bytes }) => Buffer.from(bytes?.() ?? []))).toEqual(
      fresh.segments.map(({ bytes }) => Buffer.from(bytes?.() ?? [])),
    );
  });

  test('of a newer format is refused, not guessed at', () => {
    const entry = stored(encode('{"a":1}'));
    const newer = Buffer.from(entry.body);
    newer[0] = 2;
    expect(() => decodeEntry({ ...entry, body: newer })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_FORMAT' }),
    );
  });

  test('that is cut short or altered is an error or decodes, but nothing else happens', () => {
    const entry = stored(
      encode(
        '{"messages":["caf\\u00e9 and more","raw caf\u00e9 here","\\ud800 ' +
          'alone"],"tokens":[1, 2, 3]}',
        {
          terminator: Buffer.from('\r\n'),
        },
      ),
    );
    const codes = new Set<string>();
    const attempt = (body: Buffer) => {
      try {
        decodeEntry({ ...entry, body });
      } catch (error) {
        codes.add((error as { code: string }).code);
      }
    };
    for (let size = 0; size < entry.body.length; size++)
      attempt(Buffer.from(entry.body.subarray(0, size)));
    for (let at = 0; at < entry.body.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const body = Buffer.from(entry.body);
        body[at] = (body[at] as number) ^ (1 << bit);
        attempt(body);
      }
    }
    expect([...codes].sort()).toEqual(['CORRUPT', 'UNSUPPORTED_FORMAT']);
  });
});
