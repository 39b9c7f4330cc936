import { VarveError } from '../../core/errors.ts';

export function noConversation(id: string): VarveError {
  return new VarveError(
    'NOT_FOUND',
    `there is no conversation ${JSON.stringify(id)} (varve ls lists all conversations)`,
  );
}

export function noBlob(name: string): VarveError {
  return new VarveError(
    'NOT_FOUND',
    `there is no blob ${JSON.stringify(name)} (varve blob ls lists all blobs)`,
  );
}
