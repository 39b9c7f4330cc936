import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJsonl } from '../../src/manifest/transfer/jsonl-reader.ts';

interface Read {
  readonly lead: string;
  readonly records: {
    readonly text: string;
    readonly terminator: string;
    readonly line: number;
    readonly offset: number;
  }[];
}

async function read(bytes: Buffer, pieceBytes: number, batchBytes: number): Promise<Read> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  let lead = '';
  const records: Read['records'] = [];
  for await (const batch of readJsonl(pieces, { batchBytes })) {
    lead += batch.lead.toString('latin1');
    for (const { bytes: text, terminator, lineNumber, byteOffset } of batch.records) {
      records.push({
        text: text.toString('latin1'),
        terminator: terminator.toString('latin1'),
        line: lineNumber,
        offset: byteOffset,
      });
    }
  }
  return { lead, records };
}

const BOM = '\xef\xbb\xbf';
const file = fc
  .array(
    fc.constantFrom(
      '{"a":1}',
      'x',
      ' ',
      '\t',
      '\r\n',
      '\n',
      '\n',
      BOM,
      '\xef',
      '\xef\xbb',
      '\n\n \n',
    ),
    {
      maxLength: 25,
    },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));

describe('readJsonl', () => {
  test('leaves out nothing, whatever the sizes of pieces and batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 24 }),
        async (bytes, piece, batch) => {
          const whole = await read(bytes, 4096, 4096);
          expect(await read(bytes, piece, batch)).toEqual(whole);
          let offset = whole.lead.length;
          for (const record of whole.records) {
            expect(record.offset).toBe(offset);
            expect(record.line).toBe(bytes.toString('latin1', 0, offset).split('\n').length);
            expect(record.text).toMatch(/^[^ \t\r\n](.*[^ \t\r\n])?$/);
            offset += record.text.length + record.terminator.length;
          }
          if (whole.records.length > 0) {
            const text =
              whole.lead + whole.records.map((record) => record.text + record.terminator).join('');
            expect(text).toBe(bytes.toString('latin1'));
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('takes byte order marks for white space before a record, and nowhere else', async () => {
    const { lead, records } = await read(
      Buffer.from(`${BOM}\n${BOM}{}\n${BOM}${BOM}[] ${BOM}\n`, 'latin1'),
      3,
      4,
    );
    expect(lead).toBe(`${BOM}\n${BOM}`);
    expect(records.map(({ text, terminator }) => [text, terminator])).toEqual([
      ['{}', `\n${BOM}${BOM}`],
      [`[] ${BOM}`, '\n'],
    ]);
  });

  test('a file of white space has no records', async () => {
    expect((await read(Buffer.from(`${BOM}\r\n \n`, 'latin1'), 1, 1)).records).toEqual([]);
    expect(await read(Buffer.alloc(0), 1, 1)).toEqual({ lead: '', records: [] });
  });
});
