/**
 * A page is gone: a compaction has replaced it since the list began, or it is lost.
 */
export class IndexMoved extends Error {
  constructor(key: string) {
    super(`${key} is gone`);
    this.name = 'IndexMoved';
  }
}
