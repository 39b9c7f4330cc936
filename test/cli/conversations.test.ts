import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SAMPLE, Workplace } from './varve.ts';

const here = new Workplace();
const sample = readFileSync(SAMPLE);
const store = here.path('sample');
here.succeed(['import', SAMPLE, '--store', store]);

const ids = sample
  .toString()
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line).id as string);

/** A store of its own for a test that changes something. */
function fresh(name: string, lines: readonly object[] = []): string {
  const location = here.path(name);
  if (lines.length > 0) {
    here.succeed(['import', '-', '--store', location], {
      input: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    });
  }
  return location;
}

const message = (content: string) => ({ role: 'user', content });

describe('varve import and export', () => {
  it('give back the file byte for byte', () => {
    expect(here.varve(['export', '--store', store]).bytes.equals(sample)).toBe(true);
  });

  it('read standard input as -, and take the store from VARVE_STORE', () => {
    const env = { VARVE_STORE: fresh('stdin') };
    here.succeed(['import', '-'], { env, input: sample });
    expect(here.varve(['export'], { env }).bytes.equals(sample)).toBe(true);
  });

  it('print a summary of what was done, and nothing with --quiet', () => {
    const location = fresh('summary');
    expect(here.succeed(['import', SAMPLE, '-s', location])).toMatch(
      /^48 conversations, 170 kB in .* s: 48 created\n/,
    );
    expect(here.succeed(['import', SAMPLE, '-s', location])).toMatch(
      /: 48 unchanged\n0 new segments\n$/,
    );
    expect(here.varve(['import', SAMPLE, '-q', '-s', location])).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('count several files together', () => {
    writeFileSync(here.path('a.jsonl'), '{"id":"a","messages":[]}\n');
    writeFileSync(here.path('b.jsonl'), '{"id":"b","messages":[]}\n{"id":"c","messages":[]}\n');
    const report = JSON.parse(
      here.succeed(['import', 'a.jsonl', 'b.jsonl', '--json', '-s', fresh('several')]),
    );
    expect(report).toMatchObject({ records: 3, created: 3, bytes: 75, failed: 0, errors: [] });
  });

  it('print the conversations asked for, in that order', () => {
    const [first, second] = [ids[7] as string, ids[3] as string];
    const lines = here.succeed(['export', first, second, '-s', store]).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).id)).toEqual([first, second]);
  });

  it('write to a file that appears when it is complete', () => {
    const target = here.path('out.jsonl');
    expect(here.succeed(['export', '-o', target, '-s', store])).toContain(
      '48 conversations, 170 kB written to',
    );
    expect(readFileSync(target).equals(sample)).toBe(true);
    expect(
      here.varve(['export', 'nobody', '-o', here.path('none.jsonl'), '-s', store]).status,
    ).toBe(4);
    expect(() => readFileSync(here.path('none.jsonl'))).toThrow('ENOENT');
  });

  it('leave a file as it was when the export fails', () => {
    writeFileSync(here.path('kept.jsonl'), 'precious');
    here.varve(['export', ids[0] as string, 'nobody', '-o', 'kept.jsonl', '-s', store]);
    expect(readFileSync(here.path('kept.jsonl'), 'utf8')).toBe('precious');
  });

  it.each([
    ['error', 6, 'old'],
    ['skip', 0, 'old'],
    ['replace', 0, 'new'],
    ['append', 6, 'old'],
  ])('with --if-exists %s end with %i and keep the %s text', (policy, status, kept) => {
    const location = fresh(`exists-${policy}`, [{ id: 'x', messages: [message('old')] }]);
    const input = `${JSON.stringify({ id: 'x', messages: [message('new')] })}\n`;
    expect(
      here.varve(['import', '-', '--if-exists', policy, '-s', location], { input }).status,
    ).toBe(status);
    expect(JSON.parse(here.succeed(['get', 'x', '-s', location])).messages[0].content).toBe(kept);
  });

  it('stop at a malformed line, name it, and keep what came before', () => {
    const location = fresh('malformed');
    writeFileSync(here.path('bad.jsonl'), '{"id":"a"}\n\n{"id":"b"\n{"id":"c"}\n');
    const { status, stdout, stderr } = here.varve(['import', 'bad.jsonl', '-s', location]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      /^varve: bad\.jsonl: line 3 \(byte offset 12\): .*1 records? (is|are) stored\n$/,
    );
    expect(here.succeed(['ls', '-s', location])).toBe('a\n');
  });

  it('continue with --on-error skip, report each line, and end with 3', () => {
    const location = fresh('skipping');
    const input = '{"id":"a"}\nnonsense\n{"id":""}\n{"id":"c"}\n';
    const { status, stdout, stderr } = here.varve(
      ['import', '-', '--on-error', 'skip', '--json', '-s', location],
      {
        input,
      },
    );
    expect(status).toBe(3);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ records: 4, created: 2, failed: 2 });
    expect(report.errors).toMatchObject([
      { file: '(standard input)', lineNumber: 2, byteOffset: 11, code: 'MALFORMED_INPUT' },
      { lineNumber: 3, code: 'INVALID_ARGUMENT' },
    ]);
    expect(stderr).toMatch(/line 2: .*\n.*line 3: /);
    expect(here.succeed(['ls', '-s', location])).toBe('a\nc\n');
  });

  it('end with 1 when no line at all could be stored', () => {
    const run = here.varve(['import', '-', '--on-error', 'skip', '-s', fresh('all-bad')], {
      input: 'nonsense\n',
    });
    expect(run.status).toBe(1);
  });

  it('look for all files before the first is read', () => {
    const location = fresh('misspelt', [{ id: 'a' }]);
    const { status, stderr } = here.varve(['import', SAMPLE, 'misspelt.jsonl', '-s', location]);
    expect({ status, stderr }).toEqual({
      status: 4,
      stderr: 'varve: misspelt.jsonl: no such file\n',
    });
    expect(here.succeed(['ls', '-s', location])).toBe('a\n');
  });
});

describe('varve put and append', () => {
  it('store a document under its id, and add messages to it', () => {
    const location = fresh('put');
    const input = JSON.stringify({ id: 'a', messages: [message('1')] }, undefined, 2);
    expect(here.succeed(['put', '-s', location], { input })).toMatch(/^created a at revision /);
    expect(
      here.succeed(['append', 'a', '-s', location], {
        input: JSON.stringify([message('2'), message('3')]),
      }),
    ).toMatch(/^appended a at revision .*: 2 messages added\n$/);
    here.succeed(['append', 'a', '-', '-s', location], { input: JSON.stringify(message('4')) });
    const stored = JSON.parse(here.succeed(['get', 'a', '--json', '-s', location]));
    expect(stored).toEqual({ id: 'a', messages: ['1', '2', '3', '4'].map(message) });
    expect(
      JSON.parse(here.succeed(['get', 'a', '--revision', '1', '-s', location])).messages,
    ).toEqual([message('1')]);
    expect(here.varve(['get', 'a', '--revision', '9', '-s', location]).status).toBe(4);
  });

  it('take another id, and refuse input that is not a document', () => {
    const location = fresh('put-id');
    here.succeed(['put', '--id', 'other', '-s', location], { input: '{"id":"a","messages":[]}' });
    expect(here.succeed(['ls', '-s', location])).toBe('other\n');
    for (const input of ['', '{"a":', '[]', '"text"', '3']) {
      expect(here.varve(['put', '-s', location], { input })).toMatchObject({
        status: 1,
        stdout: '',
      });
    }
    expect(
      here.varve(['put', '-s', location], { input: Buffer.from([0x22, 0xff, 0x22]) }).stderr,
    ).toContain('not valid UTF-8');
  });

  it('end with 6 when the id is taken or the revision is another', () => {
    const location = fresh('conflict', [{ id: 'a', messages: [] }]);
    const input = JSON.stringify({ id: 'a', messages: [message('x')] });
    expect(here.varve(['put', '-s', location], { input }).status).toBe(6);
    const { revision } = JSON.parse(here.succeed(['stat', 'a', '--json', '-s', location]));
    here.succeed(['put', '--if-exists', 'replace', '--if-revision', revision, '-s', location], {
      input,
    });
    const late = here.varve(['append', 'a', '--if-revision', revision, '-s', location], {
      input: '[{}]',
    });
    expect(late.status).toBe(6);
    expect(here.varve(['rm', 'a', '--if-revision', revision, '-s', location]).status).toBe(6);
  });

  it('append once under one idempotency key', () => {
    const location = fresh('idempotent', [{ id: 'a', messages: [] }]);
    const append = ['append', 'a', '--idempotency-key', 'turn-1', '--json', '-s', location];
    expect(JSON.parse(here.succeed(append, { input: '[{}]' }))).toMatchObject({
      status: 'appended',
      messages: 1,
    });
    expect(JSON.parse(here.succeed(append, { input: '[{}]' }))).toMatchObject({
      status: 'unchanged',
      messages: 0,
    });
  });

  it('do not append to what is not there', () => {
    expect(
      here.varve(['append', 'nobody', '-s', fresh('nobody', [{ id: 'a' }])], { input: '[{}]' })
        .status,
    ).toBe(4);
  });
});

describe('varve get, cat and stat', () => {
  const id = ids[1] as string;
  const line = sample.toString().split('\n')[1] as string;

  it('get prints indented JSON, and one line with --json', () => {
    const indented = here.succeed(['get', id, '-s', store]);
    expect(JSON.stringify(JSON.parse(indented), undefined, 2)).toBe(
      JSON.stringify(JSON.parse(line), undefined, 2),
    );
    // Numbers as they were written, not as JavaScript would write them.
    expect(indented).toContain('\n  "temperature": 1.0,\n');
    expect(here.succeed(['get', id, '--json', '-s', store])).toBe(`${line}\n`);
  });

  it('cat prints the very bytes that were imported', () => {
    expect(JSON.stringify(JSON.parse(line))).not.toBe(line);
    expect(here.succeed(['cat', id, '-s', store])).toBe(`${line}\n`);
  });

  it('cat --segment prints a segment by its address, and only that', () => {
    const address = 'b'.repeat(64);
    expect(here.varve(['cat', '--segment', address, '-s', store])).toMatchObject({
      status: 4,
      stdout: '',
    });
    expect(here.varve(['cat', '--segment', 'b', '-s', store]).status).toBe(2);
  });

  it('stat shows what is known', () => {
    const stat = JSON.parse(here.succeed(['stat', id, '--json', '-s', store]));
    const conversation = JSON.parse(line);
    expect(stat).toMatchObject({
      id,
      model: conversation.model,
      application: conversation.application,
      createdAt: Date.parse(conversation.created_at),
      messages: conversation.messages.length,
      bytes: Buffer.byteLength(line) + 1,
      revisions: 1,
    });
    expect(here.succeed(['stat', id, '-s', store])).toMatch(new RegExp(`^id +${id}\\n`));
  });

  it.each(['get', 'cat', 'stat'])('%s of an unknown id ends with 4', (verb) => {
    expect(here.varve([verb, 'nobody', '-s', store])).toEqual({
      status: 4,
      stdout: '',
      bytes: Buffer.alloc(0),
      stderr: 'varve: there is no conversation "nobody" (varve ls lists all conversations)\n',
    });
  });
});

describe('varve ls', () => {
  it('prints the ids in the order of archiving', () => {
    expect(here.succeed(['ls', '-s', store])).toBe(`${ids.join('\n')}\n`);
  });

  it('filters and orders', () => {
    const list = (...args: string[]) =>
      here
        .succeed(['ls', ...args, '-s', store])
        .split('\n')
        .filter(Boolean);
    const bicycles = ids.filter((id) => id.startsWith('bicycle-desk/'));
    expect(list('bicycle-desk/*')).toEqual(bicycles);
    expect(list('--application', 'bicycle-desk')).toEqual(bicycles);
    expect(list('--model', 'meadow-2-code', '--limit', '2')).toHaveLength(2);
    expect(list('--newest', '--limit', '3')).toEqual(ids.slice(-3).reverse());
    expect(list('--oldest', '--limit', '3')).toEqual(ids.slice(0, 3));
    expect(list('--since', '2026-01-05T09:00:00Z', '--until', '2026-01-06')).toEqual(
      ids.slice(2, 21),
    );
    expect(list('nothing*')).toEqual([]);
  });

  it('prints one JSON object a line with --json, and columns with --long', () => {
    const heads = here
      .succeed(['ls', '--json', '--limit', '2', '-s', store])
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(heads).toMatchObject([{ id: ids[0] }, { id: ids[1] }]);
    expect(Object.keys(heads[0])).toEqual(
      expect.arrayContaining(['id', 'revision', 'createdAt', 'updatedAt', 'bytes']),
    );
    expect(here.succeed(['ls', '-l', '--limit', '1', '-s', store])).toMatch(
      /^\d\.\d\d kB {2}2026-01-05 08:00:00 {2}bicycle-desk {2}meadow-2-large {2}bicycle-desk\/session-0000\n$/,
    );
  });

  it('prints ids that would confuse a terminal or a script as JSON strings', () => {
    const odd = [
      'a\nb',
      '\u001b[31mred',
      '"quoted"',
      'right\u202eleft',
      'käse',
      'a b',
      '../../etc',
      '\u{1F980}',
    ];
    const location = fresh(
      'odd-ids',
      odd.map((id) => ({ id })),
    );
    const printed = here.succeed(['ls', '-s', location]).trimEnd().split('\n');
    expect(printed).toEqual([
      '"a\\nb"',
      '"\\u001b[31mred"',
      '"\\"quoted\\""',
      '"right\\u202eleft"',
      'käse',
      'a b',
      '../../etc',
      '\u{1F980}',
    ]);
    expect(printed.map((text) => (text.startsWith('"') ? JSON.parse(text) : text))).toEqual(odd);
  });
});

describe('varve rm', () => {
  it('deletes, and shows with its exit code what was missing', () => {
    const location = fresh(
      'rm',
      ['a', 'b', 'c', '-d'].map((id) => ({ id })),
    );
    expect(here.varve(['rm', 'a', 'a', '-s', location])).toMatchObject({
      status: 0,
      stdout: '1 conversation deleted\n',
    });
    const partly = here.varve(['rm', 'a', 'b', '--json', '-s', location]);
    expect(partly.status).toBe(3);
    expect(JSON.parse(partly.stdout)).toEqual({ deleted: ['b'], absent: ['a'], held: [] });
    expect(here.varve(['rm', 'a', '-s', location]).status).toBe(4);
    expect(here.varve(['rm', 'a', '-f', '-s', location])).toMatchObject({ status: 0, stderr: '' });
    here.succeed(['rm', '-s', location, '--', '-d']);
    expect(here.succeed(['ls', '-s', location])).toBe('c\n');
  });
});
