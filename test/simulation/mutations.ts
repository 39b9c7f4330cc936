import type { RuleName } from '../../src/backends/object/rules.ts';
import type { Patch } from './protocol-build.ts';
import { patch } from './stages/stage.ts';
import type { ThemeName } from './themes.ts';

/** The protocol with one of its rules dropped. */
export interface Mutation {
  readonly rule: RuleName;
  /** What the mutant does, or does not do. */
  readonly name: string;
  readonly patches: readonly Patch[];
  /** The scene that finds it out; by default schedules do. */
  readonly scene?: string;
  /** What the schedules are about that find it out. Default: everything. */
  readonly theme?: ThemeName;
}

/**
 * Mutants that schedules or scenes find out. Those that need a stage of their own are in `stages/`.
 */
export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 'announce-before-taking',
    name: 'takes references that its pending does not name',
    patches: [
      patch(
        'manifest-job.ts',
        '...(this.pending?.adds ?? []), ...adds]',
        '...(this.pending?.adds ?? [])]',
      ),
    ],
  },
  {
    rule: 'announce-before-taking',
    name: 'streams take references before they announce them',
    patches: [
      patch('publication.ts', 'steps.announce(job, missing.keys())', 'steps.announce(job, [])'),
    ],
  },
  {
    rule: 'fence-before-releasing',
    name: 'releases what a late writer took before it fences the writer',
    scene: 'put beside a repair that takes it for dead',
    patches: [
      patch(
        'reap.ts',
        'let released = seen;',
        'let released = seen; await releaseAll(protocol, taker, [{ key: record.key, seen, ' +
          'releases }]);',
      ),
    ],
  },
  {
    rule: 'fence-before-releasing',
    name: 'releases what a late writer took without fencing it',
    scene: 'put beside a repair that takes it for dead',
    patches: [
      patch(
        'reap.ts',
        'record.pending.filter((attempt) => !stale.includes(attempt))',
        'record.pending',
      ),
    ],
  },
  {
    rule: 'fence-before-releasing',
    name: 'commits references of an attempt that was fenced',
    scene: 'put beside a repair that takes it for dead',
    patches: [
      patch('manifest-job.ts', 'this.taken.size > 0 && this.pending === undefined', 'false'),
      patch('manifest-job.ts', 'taken && this.pending?.adds.includes(address)', 'taken'),
    ],
  },
  {
    rule: 'never-revive-a-generation',
    name: 'brings a condemned generation back',
    scene: 'put beside collect',
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
    theme: 'one segment',
    patches: [patch('sidecar-changes.ts', "const isHot = state === 'live' && ", 'const isHot = ')],
  },
  {
    rule: 'heat-only-what-is-live',
    name: 'takes for live what may not be stored yet',
    scene: 'put beside put of one segment',
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
    theme: 'one segment',
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
    rule: 'drop-only-own-holds',
    name: 'cools without a hold',
    scene: 'put beside cooling',
    patches: [
      patch('cool.ts', 'holds: [...others, name]', 'holds: others'),
      patch('cool.ts', 'sidecar?.holds?.includes(name) ?', 'sidecar !== undefined ?'),
    ],
  },
  {
    rule: 'drop-only-own-holds',
    name: 'cools by the names from before the heat',
    scene: 'put beside cooling and collecting',
    patches: [patch('cool.ts', 'restore(tokens)', 'restore([])')],
  },
  {
    rule: 'release-what-is-dropped',
    name: 'lets go of nothing that was replaced',
    patches: [
      patch(
        'manifest-job.ts',
        'if (current?.holds.get(address)?.nonce !== nonce) releases.push({ address, nonce });',
        '',
      ),
    ],
  },
  {
    rule: 'release-what-is-dropped',
    name: 'lets go of references that the new content keeps',
    patches: [
      patch(
        'manifest-job.ts',
        'if (current?.holds.get(address)?.nonce !== nonce) releases.push({ address, nonce });',
        'releases.push({ address, nonce });',
      ),
    ],
  },
  {
    rule: 'keep-tombstones',
    name: 'deletes the sidecars of what it collected',
    theme: 'collectors',
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
    scene: 'read beside replace and collect',
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
    name: 'leaves no hint of what it lets go of',
    theme: 'collectors',
    patches: [patch('hints.ts', 'if (releasing.length === 0) return;', 'return;')],
  },
  {
    rule: 'never-guess-outcomes',
    name: 'does a write again whose answer was lost',
    scene: 'append beside append, with a fault',
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
    name: 'dies without having left a mark',
    scene: 'put, with a fault',
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
    name: 'removes hints before a collection can die no more',
    scene: 'collect, with a fault',
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
    theme: 'retention',
    patches: [patch('decide.ts', "checkHold(write, stored); return 'deleted'", "return 'deleted'")],
  },
  {
    rule: 'heal-on-put',
    name: 'leaves damage as it is',
    theme: 'damage',
    patches: [
      patch('segment-taker.ts', '    if (sidecar.damaged) {', '    if (sidecar.refs.length < 0) {'),
    ],
  },
  {
    rule: 'report-remnants',
    name: 'takes what it collected for all there was',
    theme: 'erasure',
    patches: [
      patch('collect.ts', 'run.remnants = await findRemnants(protocol, scope.signal);', '{}'),
    ],
  },
];
