import type { Database, RunResult, Statement } from './sqlite-driver.ts';

/** A connection to SQLite that prepares each statement once. */
export class SqlConnection {
  readonly #connection: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(connection: Database) {
    this.#connection = connection;
  }

  /** The path of the database file. */
  get path(): string {
    return this.#connection.name;
  }

  get isOpen(): boolean {
    return this.#connection.open;
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  /** Runs statements that return nothing and have no parameters. */
  execute(sql: string): void {
    this.#connection.exec(sql);
  }

  run(sql: string, ...parameters: unknown[]): RunResult {
    return this.#prepare(sql).run(...parameters);
  }

  /** The first row, or undefined. */
  get<Row>(sql: string, ...parameters: unknown[]): Row | undefined {
    return this.#prepare(sql).get(...parameters) as Row | undefined;
  }

  all<Row>(sql: string, ...parameters: unknown[]): Row[] {
    return this.#prepare(sql).all(...parameters) as Row[];
  }

  /** The first column of the first row, or undefined. */
  value<Value>(sql: string, ...parameters: unknown[]): Value | undefined {
    const row = this.#prepare(sql).get(...parameters) as Record<string, Value> | undefined;
    return row === undefined ? undefined : Object.values(row)[0];
  }

  hasTable(name: string): boolean {
    return (
      this.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", name) !== undefined
    );
  }

  /** Runs `work` in one snapshot. `work` must be synchronous. */
  snapshot<Result>(work: () => Result): Result {
    if (this.inTransaction) return work();
    this.execute('BEGIN');
    try {
      return work();
    } finally {
      this.execute('COMMIT');
    }
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
