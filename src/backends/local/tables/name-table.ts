import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';

/** Gives each model and application a small number, so that the index spells each name once. */
export class NameTable {
  readonly #database: IndexDatabase;
  readonly #numbers = new Map<string, number>();
  readonly #texts = new Map<number, string>();

  constructor(database: IndexDatabase) {
    this.#database = database;
  }

  /** The number of a name; `undefined` when nothing was ever stored under it. */
  find(text: string): number | undefined {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#database.value<number>('SELECT id FROM name WHERE text = ?', text);
    if (number !== undefined) this.#remember(number, text);
    return number;
  }

  /** The number of a name, assigned now if it has none. Only in a write transaction. */
  intern(text: string): number {
    const known = this.find(text);
    if (known !== undefined) return known;
    const number = Number(
      this.#database.run('INSERT INTO name (text) VALUES (?)', text).lastInsertRowid,
    );
    this.#remember(number, text);
    return number;
  }

  text(number: number): string {
    const known = this.#texts.get(number);
    if (known !== undefined) return known;
    const text = this.#database.value<string>('SELECT text FROM name WHERE id = ?', number);
    if (text === undefined)
      throw new VarveError(
        'CORRUPT',
        `the index names model or application ${number}, which is missing`,
      );
    this.#remember(number, text);
    return text;
  }

  /** Forgets numbers that a rolled-back transaction may have assigned. */
  invalidate(): void {
    this.#numbers.clear();
    this.#texts.clear();
  }

  #remember(number: number, text: string): void {
    this.#numbers.set(text, number);
    this.#texts.set(number, text);
  }
}
