/** Manifests that one finding names at most. */
export const MOST_NAMED_MANIFESTS = 100;

/** What a repair does about a wrong count. */
export const RECOUNT = 'count the references that the manifests have';

/**
 * What a repair does about data that only a writer can bring back: the text before and after it was
 * done.
 */
export const TO_MARK = 'mark it, so that the next put of the same bytes heals it';
export const MARKED = 'none: it is marked, and the next put of the same bytes heals it';
