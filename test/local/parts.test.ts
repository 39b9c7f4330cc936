import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IndexDatabase } from '../../src/backends/local/database/index-database.ts';
import { openIndex } from '../../src/backends/local/database/open-index.ts';
import { StoreFolder } from '../../src/backends/local/files/store-folder.ts';
import {
  addToFilter,
  filterBytes,
  mayContain,
} from '../../src/backends/local/fingerprints/bloom-filter.ts';
import {
  FingerprintIndex,
  SEGMENT_FINGERPRINTS,
} from '../../src/backends/local/fingerprints/fingerprint-index.ts';
import {
  BLOCK_HEADER_BYTES,
  type BlockRecord,
  decodeBlockDirectory,
  decodeBlockHeader,
  decodeBlockPayload,
  decodeBlockPrefix,
  encodeBlock,
} from '../../src/backends/local/format/block.ts';
import { decodeBodyRecord, encodeBodyRecord } from '../../src/backends/local/format/body-record.ts';
import { FINGERPRINT_BITS } from '../../src/backends/local/format/fingerprint.ts';
import { BODIES, SEGMENTS, SWEPT } from '../../src/backends/local/format/schema.ts';
import { ReferenceLedger } from '../../src/backends/local/tables/reference-ledger.ts';
import { countTokens, packTokens, unpackTokens } from '../../src/cas/codec/token-codec.ts';
import { addressOf } from '../../src/core/address.ts';
import { IdSet } from '../../src/core/collections/id-set.ts';
import { isUnreadable } from '../../src/core/errors.ts';
import { Random } from './process/random.ts';
import { rejection, scratchFolder } from './support.ts';

function newIndex(): IndexDatabase {
  return openIndex(new StoreFolder(scratchFolder()), {
    create: true,
    readOnly: false,
    lockTimeoutMs: 1000,
  });
}

function decode(block: Buffer) {
  const directory = decodeBlockDirectory(block, 'test');
  const payload = decodeBlockPayload(block, directory, 'test');
  return Array.from(directory.ids, (id, slot) => ({
    id,
    bytes: Buffer.from(payload.subarray(directory.offsets[slot], directory.offsets[slot + 1])),
    tokens: directory.isTokens(slot),
    ...(directory.space === SEGMENTS ? { address: directory.address(slot) } : {}),
  }));
}

const records = fc
  .uniqueArray(fc.nat({ max: 2 ** 40 }), { maxLength: 40 })
  .chain((ids) =>
    fc.tuple(
      fc.constant([...ids].sort((a, b) => a - b)),
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.boolean()), {
        minLength: ids.length,
        maxLength: ids.length,
      }),
    ),
  )
  .map(([ids, contents]) =>
    ids.map((id, at): BlockRecord => {
      const [content, tokens] = contents[at] as [Uint8Array, boolean];
      const bytes = Buffer.from(content);
      return { id, bytes, tokens, address: addressOf(bytes) };
    }),
  );

describe('a block', () => {
  test('gives back the records that were put in, found by their ids', () => {
    fc.assert(
      fc.property(records, fc.constantFrom(SEGMENTS, BODIES), (wanted, space) => {
        const block = encodeBlock(space, wanted, 3);
        const plain =
          space === SEGMENTS
            ? wanted
            : wanted.map(({ id, bytes, tokens }) => ({ id, bytes, tokens }));
        expect(decode(block)).toEqual(plain);
        const directory = decodeBlockDirectory(block, 'test');
        wanted.forEach(({ id }, slot) => {
          expect(directory.slotOf(id)).toBe(slot);
        });
        for (const { id } of wanted) {
          if (!wanted.some((other) => other.id === id + 1))
            expect(directory.slotOf(id + 1)).toBe(-1);
        }
        const whole = decodeBlockPayload(block, directory, 'test');
        for (const end of directory.offsets) {
          const prefix = decodeBlockPrefix(block, directory, end, 'test');
          expect(Buffer.compare(prefix.subarray(0, end), whole.subarray(0, end))).toBe(0);
        }
        const { directoryBytes, frameBytes } = decodeBlockHeader(block, 'test');
        expect(BLOCK_HEADER_BYTES + directoryBytes + frameBytes).toBe(block.length);
      }),
      { numRuns: 150 },
    );
  });

  test('with any byte changed or cut off is refused, never read as something else', () => {
    const random = new Random(3);
    const wanted = Array.from({ length: 12 }, (_, at): BlockRecord => {
      const bytes = Buffer.from(random.text(1 + random.below(20)));
      return { id: at * 3, bytes, tokens: false, address: addressOf(bytes) };
    });
    const block = encodeBlock(SEGMENTS, wanted, 3);
    const damage = (damaged: Buffer) => {
      try {
        decode(damaged);
        return undefined;
      } catch (error) {
        return error;
      }
    };
    for (let at = 0; at < block.length; at++) {
      for (const change of [1, 0x80, 0xff, 1 + random.below(255)]) {
        const damaged = Buffer.from(block);
        damaged[at] = (block[at] as number) ^ change;
        expect(damage(damaged), `byte ${at} ^ ${change}`).toSatisfy(isUnreadable);
      }
      expect(damage(block.subarray(0, at)), `cut at ${at}`).toSatisfy(isUnreadable);
    }
  });
});

test('a body record gives back its references and body', () => {
  const ids = fc.array(fc.nat({ max: 2 ** 45 }), { maxLength: 50 });
  fc.assert(
    fc.property(ids, fc.uint8Array({ maxLength: 300 }), (segments, body) => {
      const decoded = decodeBodyRecord(encodeBodyRecord({ owner: 513, segments, body }), 'test');
      expect(decoded.segments).toEqual(segments);
      expect(Buffer.compare(decoded.body, body)).toBe(0);
    }),
  );
});

test('a body record cut short is refused or a shorter body, never other references', () => {
  const encoded = encodeBodyRecord({ owner: 7, segments: [5, 1000, 3], body: Buffer.from('xyz') });
  for (let at = 0; at < encoded.length; at++) {
    try {
      expect(decodeBodyRecord(encoded.subarray(0, at), 'test').segments).toEqual([5, 1000, 3]);
    } catch (error) {
      expect(error).toSatisfy(isUnreadable);
    }
  }
});

describe('packed tokens', () => {
  const tokenIds = fc.array(
    fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 32 - 1)),
  );

  test('are the canonical bytes again, at any alignment', () => {
    fc.assert(
      fc.property(tokenIds, fc.nat({ max: 3 }), (ids, offset) => {
        const canonical = Buffer.alloc(ids.length * 4 + offset).subarray(offset);
        ids.forEach((id, at) => {
          canonical.writeUInt32LE(id, at * 4);
        });
        const packed = packTokens(canonical);
        expect(countTokens(packed)).toBe(ids.length);
        expect(Buffer.compare(unpackTokens(packed, 'test'), canonical)).toBe(0);
      }),
    );
  });

  test('that are not tokens are refused', async () => {
    const unpack = async (bytes: number[]) => unpackTokens(Buffer.from(bytes), 'segment x');
    for (const bytes of [
      [0x80],
      [1, 0xff],
      [0xff, 0xff, 0xff, 0xff, 0x10],
      Array<number>(9).fill(0xff).concat(1),
    ]) {
      expect((await rejection(unpack(bytes), 'CORRUPT')).message).toContain('segment x');
    }
  });
});

test('a set of ids holds what was added and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat({ max: 100_000 })),
      fc.nat({ max: 100_000 }),
      (ids, other) => {
        const set = new IdSet();
        for (const id of ids) set.add(id);
        expect(ids.every((id) => set.has(id))).toBe(true);
        expect(set.has(other)).toBe(ids.includes(other));
      },
    ),
  );
});

describe('a Bloom filter', () => {
  const key = (random: Random) =>
    Math.floor(random.fraction() * 2 ** 20) * 2 ** (FINGERPRINT_BITS - 20) + random.below(2 ** 20);

  test.each([1, 50, 5_000, 60_000])('of %i keys misses none and lets few others pass', (count) => {
    const random = new Random(count);
    const keys = Array.from({ length: count }, () => key(random)).concat(
      0,
      2 ** FINGERPRINT_BITS - 1,
    );
    const filter = Buffer.alloc(filterBytes(keys.length));
    for (const each of keys) addToFilter(filter, each);
    expect(keys.every((each) => mayContain(filter, each))).toBe(true);
    let passed = 0;
    for (let probe = 0; probe < 50_000; probe++) if (mayContain(filter, key(random))) passed++;
    expect(passed / 50_000).toBeLessThan(0.02);
  });

  test('uses all of its blocks', () => {
    const random = new Random(9);
    const filter = Buffer.alloc(filterBytes(20_000));
    for (let number = 0; number < 20_000; number++) addToFilter(filter, key(random));
    for (let block = 0; block < filter.length; block += 64) {
      expect(
        filter.subarray(block, block + 64).some((byte) => byte !== 0),
        `block ${block / 64}`,
      ).toBe(true);
    }
  });
});

describe('fingerprints', () => {
  /** As the index of a process that has just opened the store. */
  function reopened(database: IndexDatabase): FingerprintIndex {
    const index = new FingerprintIndex(database, SEGMENT_FINGERPRINTS);
    index.refresh(1);
    return index;
  }

  test('give the ids under a key as a map does, through merges, rebuilds and collisions', async () => {
    const database = newIndex();
    const random = new Random(4);
    const index = new FingerprintIndex(database, SEGMENT_FINGERPRINTS);
    const model = new Map<number, number[]>();
    // A tenth of the keys are from a few, which therefore repeat over many pages.
    const anyKey = () =>
      random.below(10) === 0
        ? random.below(3) * 2 ** 38
        : Math.floor(random.fraction() * 2 ** FINGERPRINT_BITS);
    let id = 0;
    for (let round = 0; round < 60; round++) {
      const size = round % 20 === 0 ? 8_000 : random.below(60);
      const entries = Array.from({ length: size }, () => ({ key: anyKey(), id: id++ }));
      for (const entry of entries)
        model.set(entry.key, [...(model.get(entry.key) ?? []), entry.id]);
      await database.write(() => index.add(entries));
      if (round === 45) {
        await database.write(() => index.rebuild((each) => each % 7 !== 0));
        for (const [key, ids] of model)
          model.set(
            key,
            ids.filter((each) => each % 7 !== 0),
          );
      }
    }
    const ascending = (ids: number[]) => ids.sort((a, b) => a - b);
    for (const each of [index, reopened(database)]) {
      expect(each.entries).toBe([...model.values()].reduce((total, ids) => total + ids.length, 0));
      let number = 0;
      for (const [key, ids] of model) {
        if (number++ % 5 === 0 || ids.length > 1) expect(ascending(each.lookup(key))).toEqual(ids);
      }
      for (let probe = 0; probe < 2_000; probe++) {
        const key = Math.floor(random.fraction() * 2 ** FINGERPRINT_BITS);
        expect(ascending(each.lookup(key))).toEqual(model.get(key) ?? []);
      }
    }
    expect(database.value('SELECT count(*) FROM run')).toBeLessThan(25);
    expect(database.value('SELECT count(*) FROM run_page')).toBe(
      database.value('SELECT sum(pages) FROM run'),
    );
    database.close();
  });

  test('of which all are gone take no room', async () => {
    const database = newIndex();
    const index = new FingerprintIndex(database, SEGMENT_FINGERPRINTS);
    await database.write(() => index.add([{ key: 5, id: 1 }]));
    await database.write(() => index.rebuild(() => false));
    expect(index.lookup(5)).toEqual([]);
    await database.write(() => index.add([{ key: 5, id: 2 }]));
    expect(index.lookup(5)).toEqual([2]);
    expect(reopened(database).lookup(5)).toEqual([2]);
    database.close();
  });
});

test('the ledger counts as a map does', async () => {
  const database = newIndex();
  const ledger = new ReferenceLedger(database);
  const random = new Random(5);
  const model = new Map<number, number>();
  let next = 0;
  for (let round = 0; round < 80; round++) {
    await database.write(() => {
      const firstNew = next;
      for (let change = 0; change < 20; change++) {
        if (random.below(3) === 0) {
          model.set(next, 0);
          ledger.add(next, 0);
          next++;
        }
        const segment = random.below(Math.max(1, next));
        const count = model.get(segment);
        if (count === undefined) continue;
        const by = count > 0 && random.below(2) === 0 ? -1 : 1;
        model.set(segment, count + by);
        ledger.add(segment, by);
      }
      ledger.settle(firstNew, round);
    });
    for (const [segment, count] of model) expect(ledger.count(SEGMENTS, segment)).toBe(count);
  }
  // Only what differs from 1 takes a row, and only garbage has a time.
  const ones = [...model.values()].filter((count) => count === 1).length;
  expect(database.value('SELECT count(*) FROM state')).toBe(model.size - ones);
  expect(database.value('SELECT count(*) FROM state WHERE (since IS NULL) = (refs = 0)')).toBe(0);
  const garbage = [...model].find(([, count]) => count === 0)?.[0] ?? expect.unreachable();
  await database.write(() => ledger.sweep(SEGMENTS, garbage, Number.MAX_SAFE_INTEGER));
  expect(ledger.count(SEGMENTS, garbage)).toBe(SWEPT);
  database.close();
});
