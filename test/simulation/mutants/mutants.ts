import type { RuleName } from '../../../src/backends/object/rules.ts';
import type { WorkloadName } from '../schedules/workloads.ts';
import { type Mutant, patch } from './mutant.ts';

/** A mutant that schedules or interleavings have to find. */
export interface SearchedMutant extends Mutant {
  readonly rule: RuleName;
  /** The scenario whose interleavings find it. Default: schedules of `workload` find it. */
  readonly scenario?: string;
  /** Default: everything. */
  readonly workload?: WorkloadName;
}

/** Mutants that need a script are in `scripts/`. */
export const SEARCHED_MUTANTS: readonly SearchedMutant[] = [
  {
    rule: 'announce-before-taking',
    name: 'takes references that its pending does not name',
    patches: [
      patch(
        'attempt.ts',
        '...(this.pending?.adds ?? []), ...segments]',
        '...(this.pending?.adds ?? [])]',
      ),
    ],
  },
  {
    rule: 'announce-before-taking',
    name: 'takes references of a stream before it announces them',
    patches: [
      patch(
        'publication.ts',
        'const announced = await announce(context, planned);',
        "const announced = { ...planned, phase: 'announced' };",
      ),
    ],
  },
  {
    rule: 'fence-before-dropping',
    name: 'drops what a late writer took before it fences the writer',
    scenario: 'put beside a repair that fences it',
    patches: [
      patch(
        'reap.ts',
        'let now = seen;',
        'let now = seen; await dropReferences(protocol, taker, [{ key: record.key, seen, ' +
          'dropped }]);',
      ),
    ],
  },
  {
    rule: 'fence-before-dropping',
    name: 'drops what a late writer took without fencing it',
    scenario: 'put beside a repair that fences it',
    patches: [
      patch(
        'reap.ts',
        'record.pending.filter((attempt) => !stale.includes(attempt))',
        'record.pending',
      ),
    ],
  },
  {
    rule: 'fence-before-dropping',
    name: 'commits references of an attempt that was fenced',
    scenario: 'put beside a repair that fences it',
    patches: [
      patch('attempt.ts', 'this.#taken.size > 0 && this.pending === undefined', 'false'),
      patch(
        'attempt.ts',
        'gen !== undefined && this.pending?.adds.includes(address)',
        'gen !== undefined',
      ),
    ],
  },
  {
    rule: 'never-revive-a-generation',
    name: 'brings a condemned generation back',
    scenario: 'put beside collect',
    patches: [
      patch(
        'sidecar-changes.ts',
        "if (sidecar === undefined || sidecar.state === 'condemned' || sidecar.state === 'gone') {",
        "if (sidecar?.state === 'condemned') return { ...withoutSince(sidecar), state: " +
          "'live', refs: [...tokens] };\n" +
          "if (sidecar === undefined || sidecar.state === 'gone') {",
      ),
    ],
  },
  {
    rule: 'never-revive-a-generation',
    name: 'stores data before its sidecar',
    patches: [
      patch(
        'segment-taker.ts',
        'const sidecar = await this.#protocol.sidecars.change(address, take(taking)',
        'if (isGuess) await this.#put(address, taking.newGeneration(), source, { kind: "any" });\n' +
          'const sidecar = await this.#protocol.sidecars.change(address, take(taking)',
      ),
    ],
  },
  {
    rule: 'heat-only-what-is-live',
    name: 'heats what may not be stored yet',
    workload: 'one segment',
    patches: [patch('sidecar-changes.ts', "const isHot = state === 'live' && ", 'const isHot = ')],
  },
  {
    rule: 'heat-only-what-is-live',
    name: 'takes for live what may not be stored yet',
    scenario: 'put beside put of one segment',
    patches: [
      patch(
        'sidecar-changes.ts',
        "sidecar.gen === storedGeneration ? 'live' : sidecar.state",
        "'live'",
      ),
    ],
  },
  {
    rule: 'heat-only-what-is-live',
    name: 'collects what is hot',
    workload: 'one segment',
    patches: [
      patch(
        'sidecar-changes.ts',
        ' && refs.length === 0 && !hot && ',
        ' && (hot || refs.length === 0) && ',
      ),
      patch(
        'judge.ts',
        'sidecar.refs.length > 0 || sidecar.hot',
        'sidecar.refs.length > 0 && !sidecar.hot',
      ),
    ],
  },
  {
    rule: 'remove-only-own-guards',
    name: 'cools without a guard',
    scenario: 'put beside cooling',
    patches: [
      patch('cool.ts', 'guards: [...others, name]', 'guards: others'),
      patch('cool.ts', 'sidecar?.guards?.includes(name) ?', 'sidecar !== undefined ?'),
    ],
  },
  {
    rule: 'remove-only-own-guards',
    name: 'cools by the names from before the segment was hot',
    scenario: 'put beside cooling and collecting',
    patches: [patch('cool.ts', 'restore(tokens)', 'restore([])')],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'drops nothing that was replaced',
    patches: [
      patch(
        'attempt.ts',
        'dropped.push({ address, attempt, ...(goesWhole && { page: gen }) });',
        '',
      ),
    ],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'drops references that the new content keeps',
    patches: [
      patch(
        'attempt.ts',
        'if (kept.has(nameOfReference({ address, attempt }))) continue;\nconst goesWhole',
        'const goesWhole',
      ),
    ],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'drops what merged pages reference',
    workload: 'pages',
    patches: [
      patch('attempt.ts', 'pages.has(address) && !absorbed.has(address)', 'pages.has(address)'),
      patch(
        'drop-references.ts',
        'found.filter((each) => !kept.has(nameOfReference(each)))',
        'found.filter(() => kept.size >= 0)',
      ),
    ],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'forgets what a page references when it is dropped',
    workload: 'pages',
    patches: [patch('attempt.ts', '...(goesWhole && { page: gen })', '')],
  },
  {
    rule: 'drop-what-is-replaced',
    name: 'leaves references of the record out of a page',
    workload: 'pages',
    patches: [
      patch(
        'paging.ts',
        '...read.flatMap((each) => each.references), ...references]',
        '...read.flatMap((each) => each.references)]',
      ),
    ],
  },
  {
    rule: 'read-pages',
    name: 'asks the record only what it references',
    workload: 'pages',
    patches: [
      patch(
        'references.ts',
        'current && (await pages.readAll(objectKey, current, pagesOf(current)))',
        'current && (await pages.readAll(objectKey, current, []))',
      ),
    ],
  },
  {
    rule: 'keep-tombstones',
    name: 'deletes the sidecars of what it collected',
    workload: 'collectors',
    patches: [
      patch(
        'sweep.ts',
        'sidecars.change(address, bury(gen))',
        "protocol.store.delete(['segments/' + address + '.meta'])",
      ),
    ],
  },
  {
    rule: 'reread-before-corruption',
    name: 'calls it corruption when a manifest changed under its reader',
    scenario: 'read beside replace and collect',
    patches: [
      patch(
        'manifest-reading.ts',
        'if (now.etag === etag) throw',
        'if (now.etag !== undefined) throw',
      ),
    ],
  },
  {
    rule: 'hint-before-change',
    name: 'writes no hint of what it drops',
    workload: 'collectors',
    patches: [patch('hints.ts', 'if (dropping.length === 0) return;', 'return;')],
  },
  {
    rule: 'never-guess-outcomes',
    name: 'repeats a write whose answer was lost',
    scenario: 'append beside append, with a fault',
    patches: [
      patch(
        'manifest-table.ts',
        'const applied = wasApplied(record, now.record);',
        'const applied = false as boolean | undefined;',
      ),
    ],
  },
  {
    rule: 'hint-before-change',
    name: 'crashes without a mark of its writer',
    scenario: 'put, with a fault',
    patches: [
      patch(
        'hints.ts',
        'if (this.#mark.markedAt !== undefined && now - this.#mark.markedAt < ' +
          'WRITER_MARK_MS) return;',
        'if (now > 0) return;',
      ),
    ],
  },
  {
    rule: 'hint-before-change',
    name: 'removes hints before its collection has ended',
    scenario: 'collect, with a fault',
    patches: [
      patch(
        'follow-hints.ts',
        'const isFinished = await mapAll(hints',
        'await deleteAll(protocol.store, hints.map(({ object }) => object.key)); ' +
          'const isFinished = await mapAll(hints',
      ),
    ],
  },
  {
    rule: 'judge-what-is-replaced',
    name: 'ignores a hold',
    workload: 'retention',
    patches: [patch('decide.ts', "checkHold(write, stored); return 'deleted'", "return 'deleted'")],
  },
  {
    rule: 'heal-on-put',
    name: 'leaves damage as it is',
    workload: 'damage',
    patches: [
      patch('segment-taker.ts', '    if (sidecar.damaged) {', '    if (sidecar.refs.length < 0) {'),
    ],
  },
  {
    rule: 'report-remnants',
    name: 'reports no remnants',
    workload: 'erasure',
    patches: [
      patch('collect.ts', 'run.remnants = await findRemnants(protocol, scope.signal);', '{}'),
    ],
  },
  {
    rule: 'journal-before-change',
    name: 'stores a journal after the change',
    patches: [
      patch('object-commit.ts', 'await this.#context.journal.writePlans(planned);', ''),
      patch(
        'object-commit.ts',
        'await mapAll(prepared, (each) => this.#commit(each));',
        'await mapAll(prepared, (each) => this.#commit(each)); ' +
          'await this.#context.journal.writePlans(planned);',
      ),
    ],
  },
  {
    rule: 'journal-before-change',
    name: 'does not store another journal for a change that it plans again',
    workload: 'lost answers',
    patches: [
      patch(
        'object-commit.ts',
        'await this.#context.journal.writePlans(planned);',
        'await this.#context.journal.writePlans(' +
          'planned.filter(({ attempt }) => !attempt.hasLooked));',
      ),
    ],
  },
  {
    rule: 'journal-before-change',
    name: 'drops a journal of changes that may still come',
    scenario: 'replace beside compaction',
    patches: [patch('head-journal.ts', 'record.seq > base &&', 'record.seq >= base &&')],
  },
  {
    rule: 'journal-before-change',
    name: 'drops a journal of an attempt under way',
    scenario: 'replace beside a collection that fences it',
    patches: [
      patch(
        'head-journal.ts',
        '!record.pending.some((each) => each.attempt === attempt)',
        'attempt !== undefined',
      ),
    ],
  },
  {
    rule: 'page-before-journal-goes',
    name: 'deletes journals before the catalog names their pages',
    patches: [
      patch(
        'compaction.ts',
        'const written: string[] = [];',
        'const written: string[] = []; await deleteAll(protocol.store, taken.journals);',
      ),
    ],
  },
  {
    rule: 'page-before-journal-goes',
    name: 'replaces whatever catalog is there',
    scenario: 'two compactions',
    patches: [
      patch(
        'head-catalogs.ts',
        "etag === undefined ? ({ kind: 'absent' } as const) : ({ kind: 'match', etag } as const)",
        "({ kind: 'any' } as const)",
      ),
    ],
  },
  {
    rule: 'page-before-journal-goes',
    name: 'lists pages before journals',
    scenario: 'list beside put and compaction',
    patches: [
      patch(
        'head-view.ts',
        'const announced = await readJournals(tables, kind, after);\n' +
          'const { runs } = await tables.catalogs.read(kind);',
        'const { runs } = await tables.catalogs.read(kind);\n' +
          'const announced = await readJournals(tables, kind, after);',
      ),
    ],
  },
  {
    rule: 'page-before-journal-goes',
    name: 'takes a page that is gone for one that it has read',
    scenario: 'list beside append and compaction',
    patches: [
      patch(
        'head-pages.ts',
        'if (object === undefined) throw new IndexMoved(key);',
        'if (object === undefined) return HeadPage.of(IndexMoved ? [] : []);',
      ),
    ],
  },
  {
    rule: 'records-decide-lists',
    name: 'filters on what the pages have',
    scenario: 'list of what is held beside hold',
    patches: [
      patch(
        'head-list.ts',
        '[version?.head, ...announced].some(mayPass)',
        'mayPass(version?.head)',
      ),
    ],
  },
  {
    rule: 'records-decide-lists',
    name: 'shows what a journal announces',
    scenario: 'list beside put',
    patches: [
      patch(
        'head-list.ts',
        'return versionAt(id, archived, record).head;',
        'return versionAt(id, archived, record).head ?? announced?.at(-1);',
      ),
      patch(
        'head-list.ts',
        'const read = async ({ id, archived }: Candidate)',
        'const read = async ({ id, archived, announced }: Candidate)',
      ),
    ],
  },
  {
    rule: 'records-decide-lists',
    name: 'takes the version with the later time for the newer one',
    patches: [
      patch(
        'merge-runs.ts',
        'version.seq > newest.seq',
        '(version.head?.updatedAt ?? 0) > (newest.head?.updatedAt ?? 0)',
      ),
    ],
  },
];
