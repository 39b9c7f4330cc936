import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeLogRecord, encodeLogRecord } from '../../src/backends/local/format/log-codec.ts';
import type {
  LoggedState,
  LogOperation,
  LogRecord,
} from '../../src/backends/local/format/log-record.ts';
import { LOG } from '../../src/backends/local/format/schema.ts';
import { recordsIn } from '../../src/backends/local/packs/unknown-commits.ts';
import { PackInventory } from '../../src/backends/local/salvage/pack-inventory.ts';
import { append, commit, entry, hold, put, remove } from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import { openStore, scratchFolder } from './support.ts';

/** All records of the log that are anywhere in the packs, as text. */
function logIn(path: string): string {
  const inventory = PackInventory.open(path);
  try {
    for (const pack of inventory.packs) inventory.scan(pack);
    const records = inventory.blocks
      .filter(({ directory }) => directory.space === LOG)
      .flatMap((block) => recordsIn(inventory.fileOf(block.pack), block));
    const textOf = (_: string, value: unknown) =>
      value !== null && typeof value === 'object' && 'type' in value && value.type === 'Buffer'
        ? Buffer.from((value as unknown as { data: number[] }).data).toString()
        : value;
    return JSON.stringify(records, textOf);
  } finally {
    inventory.close();
  }
}

const id = fc.nat(2 ** 40);
const time = fc.oneof(
  fc.integer({ min: -(2 ** 45), max: 2 ** 45 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const positive = fc.integer({ min: 1, max: 1000 });
const name = fc.option(fc.string({ unit: 'grapheme' }));
const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((each) => Buffer.from(each));
const state: fc.Arbitrary<LoggedState> = fc.record({
  application: name,
  model: name,
  created: time,
  updated: time,
  expires: fc.option(time),
  bytes: time,
  revision: positive,
});
const entries = fc.record({
  bodies: fc.array(id, { maxLength: 4 }),
  nonces: fc
    .uniqueArray(fc.tuple(fc.nat(3), bytes), { maxLength: 3, selector: ([at]) => at })
    .map((all) => all.sort(([a], [b]) => a - b)),
});
const operation: fc.Arbitrary<LogOperation> = fc.oneof(
  fc.record({
    type: fc.constant('put' as const),
    row: id,
    kind: fc.nat(2),
    name: bytes,
    state,
    entries,
    dropped: fc.array(id, { maxLength: 3 }),
  }),
  fc.record({ type: fc.constant('append' as const), row: id, from: fc.nat(), state, entries }),
  fc.record({
    type: fc.constant('delete' as const),
    row: id,
    dropped: fc.array(id, { maxLength: 3 }),
  }),
  fc.record({
    type: fc.constant('hold' as const),
    row: id,
    since: time,
    reason: fc.option(fc.string({ unit: 'grapheme' })),
  }),
  fc.record({ type: fc.constant('release' as const), row: id }),
);
const record: fc.Arbitrary<LogRecord> = fc.record({
  part: fc.nat(5),
  isContinued: fc.boolean(),
  floor: id,
  firstBody: id,
  voids: fc.array(fc.record({ pack: id, start: id, length: id }), { maxLength: 2 }),
  touchedBefore: fc.option(
    fc.record({ deleted: fc.array(id, { maxLength: 3 }), changed: fc.array(id, { maxLength: 3 }) }),
    { nil: undefined },
  ),
  covers: fc.option(fc.record({ first: id, end: id }), { nil: undefined }),
  operations: fc.array(operation, { maxLength: 12 }),
});

describe('a record of the log', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(record, (given) => {
        const negativeZero = (_: string, value: unknown) => (Object.is(value, -0) ? 0 : value);
        const read = decodeLogRecord(encodeLogRecord(given), 'record');
        expect(JSON.parse(JSON.stringify(read, negativeZero))).toEqual(
          JSON.parse(JSON.stringify(given, negativeZero)),
        );
      }),
      { numRuns: times(300, 5000) },
    );
  });

  test('has the format that is written down here', () => {
    const stored = Buffer.from(
      [
        '01040001070102050901060001016dffff3f05050101010202020303050202020203010205050002',
        '0304050805030405000002616200000101d10f01d30f0101a11f01012c2c0202000102010e000001',
        '0100000100016ed50f010172',
      ].join(''),
      'hex',
    );
    const state = {
      application: null,
      model: 'm',
      created: 1000,
      updated: 1001,
      expires: 2000,
      bytes: 300,
    };
    const written: LogRecord = {
      part: 0,
      isContinued: false,
      floor: 1,
      firstBody: 7,
      voids: [{ pack: 2, start: 5, length: 9 }],
      touchedBefore: { deleted: [3], changed: [] },
      covers: undefined,
      operations: [
        {
          type: 'put',
          row: 4,
          kind: 0,
          name: Buffer.from('ab'),
          state: { ...state, revision: 1 },
          entries: { bodies: [7, 8], nonces: [] },
          dropped: [],
        },
        {
          type: 'append',
          row: 2,
          from: 1,
          state: { ...state, revision: 2 },
          entries: { bodies: [9], nonces: [[0, Buffer.from('n')]] },
        },
        { type: 'delete', row: 1, dropped: [0] },
        { type: 'hold', row: 4, since: 1002, reason: 'r' },
        { type: 'release', row: 2 },
      ],
    };
    expect(decodeLogRecord(stored, 'record')).toEqual(written);
    expect(encodeLogRecord(written).equals(stored)).toBe(true);
  });

  test('that is damaged is never taken for another one in silence', () => {
    fc.assert(
      fc.property(record, fc.nat(), (given, at) => {
        const encoded = encodeLogRecord(given);
        try {
          decodeLogRecord(encoded.subarray(0, at % encoded.length), 'record');
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^(CORRUPT|UNSUPPORTED_FORMAT)$/),
          });
          return;
        }
        throw new Error('a record that was cut short was read');
      }),
    );
  });
});

describe('the log', () => {
  test('does not grow without bound: an everyday collection compacts it', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    const key = `a conversation with a long id ${'x'.repeat(200)}`;
    await commit(backend, put(key, [entry('first')]));
    for (let round = 0; round < 20; round++) {
      const replaced = Array.from({ length: 50 }, (_, at) =>
        put(key, [entry(`${round} ${at}`)], { ifExists: 'replace' }),
      );
      await backend.commit(replaced);
    }
    const bytes = () => logIn(path).length;
    const before = bytes();
    await backend.collect({ graceMs: 0 });
    await backend.collect({ graceMs: 0 });
    expect(before).toBeGreaterThan(200_000);
    expect(bytes()).toBeLessThan(3000);
    // A compacted log is not compacted again for nothing.
    const compacted = logIn(path);
    await backend.collect({ graceMs: 0 });
    expect(logIn(path)).toBe(compacted);
  });

  test('has nothing of what was erased', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    const fields = { application: 'secret application', model: 'secret model' };
    await commit(backend, put('kept', [entry('kept')]));
    await commit(backend, put('secret id', [entry('1')], { fields }));
    await commit(backend, append('secret id', [entry('2')], { idempotencyKey: 'secret key' }));
    await commit(backend, hold('secret id', true, 'secret reason'));
    await commit(backend, hold('secret id', false));
    await commit(backend, remove('secret id'));
    for (const each of ['id', 'application', 'model', 'key', 'reason'])
      expect(logIn(path)).toContain(`secret ${each}`);
    expect(await backend.collect({ erase: true })).toMatchObject({
      isComplete: true,
      remnants: [],
    });
    expect(logIn(path)).not.toContain('secret');
    expect(logIn(path)).toContain('kept');
  });
});
