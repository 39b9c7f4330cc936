import { VarveError } from '../../core/errors.ts';

/** Turns an error about a file that the user named into a {@link VarveError}. */
export function fileError(path: string, error: unknown): VarveError {
  if (error instanceof VarveError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const options = { cause: error };
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new VarveError('NOT_FOUND', `${path}: no such file`, options);
  if (code === 'EACCES' || code === 'EPERM')
    return new VarveError('DENIED', `${path}: permission denied`, options);
  if (code === 'ENOSPC')
    return new VarveError('NO_SPACE', `${path}: no space left on the device`, options);
  return new VarveError('IO', `${path}: ${(error as Error).message}`, options);
}
