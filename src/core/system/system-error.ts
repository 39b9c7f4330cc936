import { VarveError } from '../errors.ts';

/** Codes for a full disk; SHMSIZE means that SQLite cannot create the memory that readers share. */
const FULL: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'SQLITE_FULL',
  'SQLITE_IOERR_SHMSIZE',
]);

/**
 * Turns an error of the operating system or of SQLite into a {@link VarveError} that says what to
 * do.
 */
export function toVarveError(cause: unknown, doing: string): VarveError {
  if (cause instanceof VarveError) return cause;
  const code = String((cause as { code?: unknown } | null)?.code ?? '');
  const detail = cause instanceof Error ? cause.message : String(cause);
  if (FULL.has(code)) {
    return new VarveError(
      'NO_SPACE',
      `${doing}: no space is left on the device; free some, then try again: ` +
        'nothing was half-stored',
      { cause },
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'SQLITE_PERM' || code === 'SQLITE_AUTH') {
    return new VarveError('DENIED', `${doing}: ${detail}`, { cause });
  }
  if (code === 'EROFS' || code.startsWith('SQLITE_READONLY')) {
    return new VarveError(
      'READ_ONLY',
      `${doing}: the store is on a medium that cannot be written`,
      { cause },
    );
  }
  if (code.startsWith('SQLITE_BUSY') || code === 'SQLITE_LOCKED') {
    return new VarveError('BUSY', `${doing}: another process keeps the store locked; try again`, {
      cause,
    });
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new VarveError('CORRUPT', `${doing}: the index varve.db is damaged (${detail})`, {
      cause,
    });
  }
  // A TypeError never comes from the operating system or SQLite.
  if (code === '' || cause instanceof TypeError)
    return new VarveError('INTERNAL', `${doing}: ${detail}`, { cause });
  return new VarveError('IO', `${doing}: ${detail}`, { cause });
}
