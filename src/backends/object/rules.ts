/**
 * A rule of the protocol by which manifests reference segments: what every process that writes to a
 * bucket keeps, so that references stay exact although no change covers two objects.
 */
export interface ProtocolRule {
  readonly sentence: string;
  /** What is lost without it. */
  readonly reason: string;
}

/**
 * All rules of the protocol. Comments cite them by name: "rule `announce-before-taking`". For each
 * of them `test/simulation/` has mutants that break it.
 */
export const RULES = {
  'announce-before-taking': {
    sentence:
      'A reference enters a sidecar only after a stored `pending` of its manifest announces the ' +
      'segment. A stream announces each batch before it takes references.',
    reason:
      'If the writer dies, `pending` is the only trace of its references: no collection would ' +
      'drop them, and no cooler would count them.',
  },
  'fence-before-dropping': {
    sentence:
      'A reference leaves a sidecar only when no manifest can commit it any more. A swap of the ' +
      'manifest fences the attempt first; then its references are dropped.',
    reason:
      'A writer that was only slow would commit a reference that no sidecar counts, and a ' +
      'collection would delete data that a manifest needs.',
  },
  'never-revive-a-generation': {
    sentence:
      'Data is written only at a generation that a sidecar names. A generation that was given up ' +
      'never returns.',
    reason: 'A late request may still delete its data, and would delete the new data.',
  },
  'heat-only-what-is-live': {
    sentence:
      'Only a live sidecar becomes hot. A writer adds no reference only if it has read the ' +
      'sidecar as live and hot after its `pending` was stored. No collection takes a segment ' +
      'that is hot or that a cooler guards.',
    reason:
      'A hot sidecar does not name all its references. Its data might be missing, or a ' +
      'collection might delete it, although a manifest needs it.',
  },
  'remove-only-own-guards': {
    sentence:
      'A cooler removes only its own guard from a sidecar. The next cooler replaces the guard of ' +
      'a dead one, and scans all manifests again.',
    reason:
      'Until a cooler has named all references, its guard is all that keeps the segment from a ' +
      'collection.',
  },
  'drop-what-is-replaced': {
    sentence:
      'A commit adds to `releasing` the references that its content drops. Fencing adds those ' +
      'that the attempt announced and that `current` does not keep. Nothing leaves `releasing` ' +
      'before it has left its sidecar.',
    reason:
      'A reference that is forgotten keeps its segment for ever. One that the content still uses ' +
      'loses its segment.',
  },
  'never-guess-outcomes': {
    sentence:
      'After an unknown answer the writer reads the manifest again: if the nonce of its change ' +
      'is there, the change was applied. If that does not decide it, the caller gets ' +
      '`OUTCOME_UNKNOWN`, and nothing is repeated or undone.',
    reason: 'A repeated append appends twice, and what is undone may still arrive.',
  },
  'wait-for-heartbeats': {
    sentence:
      'An attempt is fenced only after its writer has been without a heartbeat for `leaseMs`. ' +
      'Readers do not see what is only announced.',
    reason:
      'A living writer that is fenced has to start again; writers that fence each other never ' +
      'finish.',
  },
  'scan-before-deleting-strays': {
    sentence:
      'Data without a sidecar is deleted only after a scan of all manifests finds no reference ' +
      'to it.',
    reason: 'A half-restored copy of a bucket looks the same, and its manifests need that data.',
  },
  'keep-tombstones': {
    sentence:
      'No manifest and no sidecar is deleted: a tombstone stays, which outlives every request ' +
      'that may still arrive.',
    reason: 'A late creation would find nothing there, and bring back what was deleted.',
  },
  'judge-what-is-replaced': {
    sentence:
      'The conditions of a write (`ifRevision`, `ifExists`, a hold, a time to expire) are judged ' +
      'on the very body that its swap replaces.',
    reason: 'The write would undo what somebody else has changed, renewed or held meanwhile.',
  },
  'reread-before-corruption': {
    sentence:
      'A reader that misses a segment reads the manifest again. Only if the manifest has not ' +
      'changed is the data lost; otherwise the reader starts again, or fails with `CONFLICT` if ' +
      'it has returned bytes already.',
    reason: 'A replacement and a collection beside a reader would be reported as corruption.',
  },
  'heal-on-put': {
    sentence:
      'An audit marks damaged data. The next put of the same bytes stores them again at the same ' +
      'generation.',
    reason:
      'A new generation would heal the new manifest only, and none of those that are damaged.',
  },
  'hint-before-change': {
    sentence:
      'A hint is stored before the change that it announces, and removed only when nothing is ' +
      'left to do. Indexes and hints are never the truth: what counts references lists the ' +
      'manifests.',
    reason:
      'A process may die in between: no everyday collection would find its garbage. An index ' +
      'that lacks a manifest would hide its references.',
  },
  'journal-before-change': {
    sentence:
      'A swap that changes what lists show is made only after a journal that names its manifest ' +
      'and its places is stored. A journal goes only when each change that it names has happened ' +
      'or can never happen, and what came of them is on pages.',
    reason:
      'A list reads pages and journals, not manifests: it would lack the manifest, or show what ' +
      'it was.',
  },
  'page-before-journal-goes': {
    sentence:
      'A compaction stores pages, then swaps the very catalog that it has read before it listed ' +
      'the journals, and only then deletes journals and pages. A list reads the journals first ' +
      'and the catalog after them, and begins again where something is gone.',
    reason:
      'A list would miss what moves from one object to another meanwhile, and what was deleted ' +
      'would come back.',
  },
  'records-decide-lists': {
    sentence:
      'A list reads the object of every manifest that a journal names, if any candidate of it ' +
      'passes the filter, and shows what is stored. Of versions on pages the one with the ' +
      'greater number is newer, whatever clocks say.',
    reason:
      'A journal names changes that may not have happened; a filter on one would hide others.',
  },
  'keep-later-versions': {
    sentence:
      'What a later version wrote is refused, and stays as it is: no write, repair or collection ' +
      'changes it.',
    reason: 'This version would drop the fields that it does not know.',
  },
  'trust-only-seen-data': {
    sentence:
      'A put reports a segment as stored only if its process has stored or seen the data. It ' +
      'trusts neither a sidecar nor a manifest.',
    reason: 'Both may be wrong after a loss, and the caller who has the bytes would drop them.',
  },
  'ask-manifests-before-sweeping': {
    sentence:
      'A full collection takes nothing that a manifest names at that generation: it reads all ' +
      'manifests first, and counts again what they name.',
    reason: 'A sidecar may be wrong, and what a collection deletes is lost.',
  },
  'report-remnants': {
    sentence:
      'An erasure is complete only when a scan of all manifests and all data finds no data that ' +
      'no manifest needs. It reports what is left.',
    reason:
      'A dead deleter leaves references that sidecars count, and the erased content would stay ' +
      'in the bucket.',
  },
  'read-pages': {
    sentence:
      'Who asks what a manifest references reads its pages, too. A manifest with a page that ' +
      'cannot be read counts as unreadable.',
    reason:
      'What only a page references would look like garbage, or its tokens like those that no ' +
      'manifest has.',
  },
  'page-leaves-last': {
    sentence:
      'What a dropped page references leaves the sidecars before the page does. A page that was ' +
      'merged into another takes nothing with it.',
    reason:
      'The page is the only list of what it references: without it, those tokens stay for ever. ' +
      'The merged page still needs them.',
  },
} as const satisfies Readonly<Record<string, ProtocolRule>>;

/** The name of a rule of the protocol. */
export type RuleName = keyof typeof RULES;
