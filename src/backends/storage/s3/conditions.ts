import type { PutCondition } from '../object-store.ts';

/** A condition as the parameters of a request. Tags go back as they came, quotes included. */
export function conditionHeaders(condition: PutCondition): {
  IfNoneMatch?: string;
  IfMatch?: string;
} {
  if (condition.kind === 'any') return {};
  return condition.kind === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: condition.etag };
}
