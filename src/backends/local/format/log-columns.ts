import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';

/**
 * The columns of a log record, in their order. Values of one kind lie together, because they
 * compress better that way. A column is present if its bit of a mask is set:
 *
 * varint mask of the columns (1 for the first); varint length of each present column; then the
 * columns.
 */
const COLUMNS = [
  'types',
  'rows',
  'kinds',
  'shared',
  'suffixLengths',
  'suffixes',
  'applications',
  'models',
  'created',
  'updated',
  'expires',
  'bytesLow',
  'bytesHigh',
  'revisions',
  'counts',
  'bodies',
  'from',
  'dropped',
  'nonces',
  'holds',
] as const;

type Column = (typeof COLUMNS)[number];

export type ColumnWriters = Readonly<Record<Column, ByteWriter>>;
export type ColumnReaders = Readonly<Record<Column, ByteReader>>;

export function newColumns(): ColumnWriters {
  return fromColumns(() => new ByteWriter(64));
}

export function writeColumns(out: ByteWriter, columns: ColumnWriters): void {
  const used = COLUMNS.filter((column) => columns[column].length > 0);
  out.varint(used.reduce((mask, column) => mask + 2 ** COLUMNS.indexOf(column), 0));
  for (const column of used) out.varint(columns[column].length);
  for (const column of used) out.bytes(columns[column].view());
}

export function readColumns(reader: ByteReader, what: string): ColumnReaders {
  const mask = reader.varint();
  const lengths = COLUMNS.map((_, at) =>
    Math.floor(mask / 2 ** at) % 2 === 1 ? reader.varint() : 0,
  );
  const parts = lengths.map((length) => reader.bytes(length));
  return fromColumns(
    (column) =>
      new ByteReader(parts[COLUMNS.indexOf(column)] as Buffer, `${what}, column ${column}`),
  );
}

/** @throws `CORRUPT` unless every column was read to its end. */
export function endColumns(columns: ColumnReaders): void {
  for (const column of COLUMNS) columns[column].end();
}

function fromColumns<Value>(make: (column: Column) => Value): Readonly<Record<Column, Value>> {
  return Object.fromEntries(COLUMNS.map((column) => [column, make(column)])) as Record<
    Column,
    Value
  >;
}

/** Larger values are written in full, so that differences stay within the range of a varint. */
const SMALL = 2 ** 50;

function isSmall(value: number): boolean {
  return Number.isSafeInteger(value) && Math.abs(value) < SMALL;
}

/**
 * A number as its difference from the previous one: varint zigzag difference + 1; or 0 and a
 * double, little-endian.
 */
export class NumberColumn {
  #before = 0;

  write(out: ByteWriter, value: number): void {
    if (!isSmall(value)) {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeDoubleLE(value);
      out.varint(0);
      out.bytes(bytes);
      return;
    }
    const difference = value - this.#before;
    out.varint((difference < 0 ? -difference * 2 - 1 : difference * 2) + 1);
    this.#before = value;
  }

  read(reader: ByteReader): number {
    const coded = reader.varint();
    if (coded === 0) return reader.bytes(8).readDoubleLE();
    const zigzag = coded - 1;
    this.#before += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    return this.#before;
  }
}

/**
 * The signed difference of each id from the previous id plus one, so that consecutive ids cost a
 * zero each.
 */
export class IdColumn {
  #next = 0;

  write(out: ByteWriter, id: number): void {
    out.signed(id - this.#next);
    this.#next = id + 1;
  }

  read(reader: ByteReader): number {
    const id = this.#next + reader.signed();
    this.#next = id + 1;
    return id;
  }

  writeList(out: ByteWriter, ids: readonly number[]): void {
    out.varint(ids.length);
    for (const id of ids) this.write(out, id);
  }

  readList(reader: ByteReader): number[] {
    const ids: number[] = [];
    for (let left = reader.varint(); left > 0; left--) ids.push(this.read(reader));
    return ids;
  }
}

/**
 * Sizes: the low byte is stored separately, because it does not compress. Values that are not such
 * sizes go into the other column in full.
 */
export class SizeColumn {
  readonly #high = new NumberColumn();

  write(low: ByteWriter, high: ByteWriter, bytes: number): void {
    const isSize = isSmall(bytes) && bytes >= 0;
    low.bytes(Uint8Array.of(isSize ? bytes % 256 : 0));
    high.varint(isSize ? Math.floor(bytes / 256) * 2 : 1);
    if (!isSize) this.#high.write(high, bytes);
  }

  read(low: ByteReader, high: ByteReader): number {
    const lowest = low.bytes(1)[0] as number;
    const coded = high.varint();
    return coded % 2 === 1 ? this.#high.read(high) : (coded / 2) * 256 + lowest;
  }
}
