import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import { VarveError } from '../../../core/errors.ts';
import {
  type ColumnReaders,
  type ColumnWriters,
  endColumns,
  IdColumn,
  NumberColumn,
  newColumns,
  readColumns,
  SizeColumn,
  writeColumns,
} from './log-columns.ts';
import { sharedBytes } from './log-order.ts';
import type {
  LoggedEntries,
  LoggedState,
  LogOperation,
  LogRecord,
  PackSpan,
  TouchedRows,
} from './log-record.ts';

/**
 * A record of the log, before its block compresses it:
 *
 * ```
 * version:varint = 1
 * flags:varint          1 another record of the commit follows | 2 snapshot
 *                       | 4 what was touched before is known
 * part:varint floor:varint firstBody:varint
 * count:varint ( pack:varint start:varint length:varint )*   bytes that belong to no commit
 * [4: ids of deleted rows, ids of changed rows]      count:varint, then signed differences
 * [2: first:varint end:varint]                       rows that the snapshot covers
 * count:varint ( length:varint text )*               models and applications, numbered from 1
 * columns                                            see log-columns.ts
 * ```
 */
const VERSION = 1;

const FLAG = { continued: 1, snapshot: 2, touched: 4 } as const;

/** Numbers of the operation types; a put that replaces also has bodies to drop. */
const TYPE = { put: 0, replace: 1, append: 2, delete: 3, hold: 4, release: 5 } as const;

export function encodeLogRecord(record: LogRecord): Buffer {
  const out = new ByteWriter(256);
  out.varint(VERSION);
  const { covers, touchedBefore, isContinued } = record;
  out.varint(
    (isContinued ? FLAG.continued : 0) +
      (covers === undefined ? 0 : FLAG.snapshot) +
      (touchedBefore === undefined ? 0 : FLAG.touched),
  );
  out.varint(record.part);
  out.varint(record.floor);
  out.varint(record.firstBody);
  out.varint(record.voids.length);
  for (const { pack, start, length } of record.voids) {
    out.varint(pack);
    out.varint(start);
    out.varint(length);
  }
  if (touchedBefore !== undefined) {
    new IdColumn().writeList(out, touchedBefore.deleted);
    new IdColumn().writeList(out, touchedBefore.changed);
  }
  if (covers !== undefined) {
    out.varint(covers.first);
    out.varint(covers.end);
  }
  const encoder = new OperationEncoder();
  for (const operation of record.operations) encoder.add(operation);
  encoder.finish(out);
  return out.finish();
}

/**
 * @throws `CORRUPT` when it is damaged, `UNSUPPORTED_FORMAT` when a newer Varve wrote it; the
 *   message names `what`.
 */
export function decodeLogRecord(bytes: Uint8Array, what: string): LogRecord {
  const reader = new ByteReader(bytes, what);
  const version = reader.varint();
  if (version !== VERSION) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `${what}: log format ${version} is newer than this version of Varve`,
    );
  }
  const flags = reader.varint();
  const part = reader.varint();
  const floor = reader.varint();
  const firstBody = reader.varint();
  const voids: PackSpan[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    voids.push({ pack: reader.varint(), start: reader.varint(), length: reader.varint() });
  }
  let touchedBefore: TouchedRows | undefined;
  if (flags & FLAG.touched) {
    touchedBefore = {
      deleted: new IdColumn().readList(reader),
      changed: new IdColumn().readList(reader),
    };
  }
  const covers =
    flags & FLAG.snapshot ? { first: reader.varint(), end: reader.varint() } : undefined;
  const operations = decodeOperations(reader, what);
  return {
    part,
    isContinued: (flags & FLAG.continued) !== 0,
    floor,
    firstBody,
    voids,
    touchedBefore,
    covers,
    operations,
  };
}

/** State that encoder and decoder carry from one operation to the next. */
class Memory {
  readonly rows = new IdColumn();
  readonly created = new NumberColumn();
  readonly updated = new NumberColumn();
  readonly expires = new NumberColumn();
  readonly sizes = new SizeColumn();
  readonly bodies = new IdColumn();
  readonly dropped = new IdColumn();
  readonly held = new NumberColumn();
  name: Uint8Array = new Uint8Array(0);
}

class OperationEncoder {
  readonly #columns: ColumnWriters = newColumns();
  readonly #memory = new Memory();
  readonly #names = new Map<string, number>();

  add(operation: LogOperation): void {
    const { types, rows, kinds, from, dropped, holds } = this.#columns;
    const isReplacement = operation.type === 'put' && operation.dropped.length > 0;
    types.varint(isReplacement ? TYPE.replace : TYPE[operation.type]);
    this.#memory.rows.write(rows, operation.row);
    switch (operation.type) {
      case 'put':
        kinds.varint(operation.kind);
        this.#addName(operation.name);
        this.#addState(operation.state);
        this.#addEntries(operation.entries);
        if (isReplacement) this.#memory.dropped.writeList(dropped, operation.dropped);
        break;
      case 'append':
        from.varint(operation.from);
        this.#addState(operation.state);
        this.#addEntries(operation.entries);
        break;
      case 'delete':
        this.#memory.dropped.writeList(dropped, operation.dropped);
        break;
      case 'hold':
        this.#memory.held.write(holds, operation.since);
        holds.varint(operation.reason === null ? 0 : 1);
        if (operation.reason !== null) holds.text(operation.reason);
        break;
      case 'release':
        break;
    }
  }

  finish(out: ByteWriter): void {
    out.varint(this.#names.size);
    for (const name of this.#names.keys()) out.text(name);
    writeColumns(out, this.#columns);
  }

  #addName(name: Uint8Array): void {
    const { shared, suffixLengths, suffixes } = this.#columns;
    const same = sharedBytes(this.#memory.name, name);
    shared.varint(same);
    suffixLengths.varint(name.length - same);
    suffixes.bytes(name.subarray(same));
    this.#memory.name = name;
  }

  #addState({ application, model, created, updated, expires, bytes, revision }: LoggedState): void {
    const columns = this.#columns;
    columns.applications.varint(this.#numberOf(application));
    columns.models.varint(this.#numberOf(model));
    this.#memory.created.write(columns.created, created);
    this.#memory.updated.write(columns.updated, updated);
    columns.expires.varint(expires === null ? 0 : 1);
    if (expires !== null) this.#memory.expires.write(columns.expires, expires);
    this.#memory.sizes.write(columns.bytesLow, columns.bytesHigh, bytes);
    columns.revisions.varint(revision - 1);
  }

  #addEntries({ bodies, nonces }: LoggedEntries): void {
    const columns = this.#columns;
    columns.counts.varint(bodies.length);
    for (const body of bodies) this.#memory.bodies.write(columns.bodies, body);
    columns.nonces.varint(nonces.length);
    let next = 0;
    for (const [at, nonce] of nonces) {
      columns.nonces.varint(at - next);
      columns.nonces.prefixed(nonce);
      next = at + 1;
    }
  }

  #numberOf(name: string | null): number {
    if (name === null) return 0;
    let number = this.#names.get(name);
    if (number === undefined) {
      number = this.#names.size + 1;
      this.#names.set(name, number);
    }
    return number;
  }
}

function decodeOperations(reader: ByteReader, what: string): LogOperation[] {
  const names: (string | null)[] = [null];
  for (let left = reader.varint(); left > 0; left--) names.push(reader.text());
  const columns = readColumns(reader, what);
  reader.end();
  const decoder = new OperationDecoder(columns, names, what);
  const operations: LogOperation[] = [];
  while (columns.types.remaining > 0) operations.push(decoder.next());
  endColumns(columns);
  return operations;
}

class OperationDecoder {
  readonly #columns: ColumnReaders;
  readonly #names: readonly (string | null)[];
  readonly #what: string;
  readonly #memory = new Memory();

  constructor(columns: ColumnReaders, names: readonly (string | null)[], what: string) {
    this.#columns = columns;
    this.#names = names;
    this.#what = what;
  }

  next(): LogOperation {
    const { types, rows, kinds, from, dropped, holds } = this.#columns;
    const type = types.varint();
    const row = this.#memory.rows.read(rows);
    switch (type) {
      case TYPE.put:
      case TYPE.replace: {
        const kind = kinds.varint();
        const name = this.#name();
        const [state, entries] = [this.#state(), this.#entries()];
        const gone = type === TYPE.replace ? this.#memory.dropped.readList(dropped) : [];
        return { type: 'put', row, kind, name, state, entries, dropped: gone };
      }
      case TYPE.append:
        return {
          type: 'append',
          row,
          from: from.varint(),
          state: this.#state(),
          entries: this.#entries(),
        };
      case TYPE.delete:
        return { type: 'delete', row, dropped: this.#memory.dropped.readList(dropped) };
      case TYPE.hold: {
        const since = this.#memory.held.read(holds);
        return { type: 'hold', row, since, reason: holds.varint() === 0 ? null : holds.text() };
      }
      case TYPE.release:
        return { type: 'release', row };
      default:
        throw new VarveError('CORRUPT', `${this.#what}: an operation has the unknown type ${type}`);
    }
  }

  #name(): Uint8Array {
    const { shared, suffixLengths, suffixes } = this.#columns;
    const before = this.#memory.name.subarray(0, shared.varint());
    this.#memory.name = Buffer.concat([before, suffixes.bytes(suffixLengths.varint())]);
    return this.#memory.name;
  }

  #state(): LoggedState {
    const columns = this.#columns;
    return {
      application: this.#nameOf(columns.applications.varint()),
      model: this.#nameOf(columns.models.varint()),
      created: this.#memory.created.read(columns.created),
      updated: this.#memory.updated.read(columns.updated),
      expires: columns.expires.varint() === 0 ? null : this.#memory.expires.read(columns.expires),
      bytes: this.#memory.sizes.read(columns.bytesLow, columns.bytesHigh),
      revision: columns.revisions.varint() + 1,
    };
  }

  #entries(): LoggedEntries {
    const columns = this.#columns;
    const bodies: number[] = [];
    for (let left = columns.counts.varint(); left > 0; left--)
      bodies.push(this.#memory.bodies.read(columns.bodies));
    const nonces: [number, Uint8Array][] = [];
    let next = 0;
    for (let left = columns.nonces.varint(); left > 0; left--) {
      const at = next + columns.nonces.varint();
      nonces.push([at, columns.nonces.prefixed()]);
      next = at + 1;
    }
    return { bodies, nonces };
  }

  #nameOf(number: number): string | null {
    const name = this.#names[number];
    if (name === undefined)
      throw new VarveError(
        'CORRUPT',
        `${this.#what}: refers to model or application ${number}, which it does not contain`,
      );
    return name;
  }
}
