import type { Patch } from './protocol-build.ts';

/** The protocol with one of its rules dropped. Rules are numbered as in ARCHITECTURE.md. */
export interface Mutation {
  readonly rule: number;
  /** What the mutant does, or does not do. */
  readonly name: string;
  readonly patches: readonly Patch[];
  /** The scene that finds it out; by default schedules do. */
  readonly scene?: string;
  /** Where to begin, for mutants that few schedules find out. Default: 1. */
  readonly firstSeed?: number;
}

const at = (file: string, find: string, replace: string): Patch => ({ file: `backends/object/${file}`, find, replace });

/** Mutants that schedules or scenes find out. Those that need a stage of their own are in `stages.ts`. */
export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 1,
    name: 'takes references that its pending does not name',
    patches: [at('manifest-job.ts', '...(this.pending?.adds ?? []), ...adds]', '...(this.pending?.adds ?? [])]')],
  },
  {
    rule: 1,
    name: 'streams take references before they announce them',
    patches: [at('publication.ts', 'steps.announce(job, missing.keys(), signal)', 'steps.announce(job, [], signal)')],
  },
  {
    rule: 2,
    name: 'releases what a late writer took before it fences the writer',
    scene: 'put beside a repair that takes it for dead',
    patches: [
      at(
        'reap.ts',
        'let released = seen;',
        'let released = seen; await releaseAll(protocol, taker, [{ key: record.key, seen, releases }]);',
      ),
    ],
  },
  {
    rule: 2,
    name: 'releases what a late writer took without fencing it',
    scene: 'put beside a repair that takes it for dead',
    patches: [at('reap.ts', 'record.pending.filter((attempt) => !stale.includes(attempt))', 'record.pending')],
  },
  {
    rule: 2,
    name: 'commits references of an attempt that was fenced',
    scene: 'put beside a repair that takes it for dead',
    patches: [
      at('manifest-job.ts', 'this.taken.size > 0 && this.pending === undefined', 'false'),
      at('manifest-job.ts', 'taken && this.pending?.adds.includes(address)', 'taken'),
    ],
  },
  {
    rule: 3,
    name: 'brings a condemned generation back',
    scene: 'put beside collect',
    patches: [
      at(
        'sidecar-changes.ts',
        "if (sidecar === undefined || sidecar.state === 'condemned' || sidecar.state === 'gone') {",
        "if (sidecar?.state === 'condemned') return { ...withoutSince(sidecar), state: 'live', refs: [...tokens] };\n" +
          "if (sidecar === undefined || sidecar.state === 'gone') {",
      ),
    ],
  },
  {
    rule: 3,
    name: 'stores data before its sidecar',
    patches: [
      at(
        'segment-taker.ts',
        'const sidecar = await this.#protocol.sidecars.change(address, take(taking)',
        'if (isGuess) await this.#put(address, taking.newGeneration(), source, { kind: "any" });\n' +
          'const sidecar = await this.#protocol.sidecars.change(address, take(taking)',
      ),
    ],
  },
  {
    rule: 4,
    name: 'heats what may not be stored yet',
    patches: [at('sidecar-changes.ts', "const isHot = state === 'live' && ", 'const isHot = ')],
  },
  {
    rule: 4,
    name: 'takes for live what may not be stored yet',
    scene: 'put beside put of one segment',
    patches: [at('sidecar-changes.ts', "sidecar.gen === storedGeneration ? 'live' : sidecar.state", "'live'")],
  },
  {
    rule: 4,
    name: 'believes in heat that it read before it announced itself',
    firstSeed: 105,
    patches: [at('sidecar-table.ts', 'if (known.isFresh) {', 'if (true) {')],
  },
  {
    rule: 4,
    name: 'collects what is hot',
    patches: [
      at('sidecar-changes.ts', ' && refs.length === 0 && !hot && ', ' && (hot || refs.length === 0) && '),
      at('sweep.ts', 'sidecar.refs.length === 0 && !sidecar.hot', 'sidecar.refs.length === 0 || sidecar.hot'),
    ],
  },
  {
    rule: 5,
    name: 'cools without a hold',
    scene: 'put beside cooling',
    patches: [
      at('cool.ts', 'holds: [...others, name]', 'holds: others'),
      at('cool.ts', 'sidecar?.holds?.includes(name) ?', 'sidecar !== undefined ?'),
    ],
  },
  {
    rule: 5,
    name: 'cools by the names from before the heat',
    scene: 'put beside cooling and collecting',
    patches: [at('cool.ts', 'restore(tokens)', 'restore([])')],
  },
  {
    rule: 6,
    name: 'forgets what is releasing when it releases more',
    firstSeed: 283,
    patches: [at('manifest-record.ts', 'return [...releasing, ...added.filter(', 'return [...added.filter(')],
  },
  {
    rule: 6,
    name: 'lets go of nothing that was replaced',
    patches: [
      at('manifest-job.ts', 'if (current?.holds.get(address)?.nonce !== nonce) releases.push({ address, nonce });', ''),
    ],
  },
  {
    rule: 6,
    name: 'lets go of references that the new content keeps',
    patches: [
      at(
        'manifest-job.ts',
        'if (current?.holds.get(address)?.nonce !== nonce) releases.push({ address, nonce });',
        'releases.push({ address, nonce });',
      ),
    ],
  },
  {
    rule: 7,
    name: 'takes a write whose answer was lost for one that failed',
    patches: [
      at(
        'manifest-table.ts',
        'const applied = wasApplied(record, now.record);',
        'const applied = false as boolean | undefined;',
      ),
    ],
  },
  {
    rule: 7,
    name: 'says that nothing happened when it does not know',
    patches: [
      at(
        'manifest-table.ts',
        'throw mayHaveHappened ? outcomeUnknown(key, cause) : cause;\n      }\n    }',
        'throw cause;\n      }\n    }',
      ),
    ],
  },
  {
    rule: 8,
    name: 'fences writers without waiting for their leases',
    patches: [
      at('reap.ts', 'record.pending.filter(({ leaseMs }) => age > leaseMs + MARGIN_MS)', '[...record.pending]'),
    ],
  },
  {
    rule: 10,
    name: 'deletes the sidecars of what it collected',
    patches: [
      at(
        'sweep.ts',
        'sidecars.change(addresses[at] as Address, bury(sidecar.gen))',
        "store.delete(['segments/' + addresses[at] + '.meta'])",
      ),
    ],
  },
  {
    rule: 11,
    name: 'commits a plan that was made on other content',
    firstSeed: 508,
    patches: [
      at('manifest-job.ts', 'return !this.isFenced && this.seen.record?.current === base;', 'return !this.isFenced;'),
    ],
  },
  {
    rule: 12,
    name: 'calls it corruption when a manifest changed under its reader',
    scene: 'read beside replace and collect',
    patches: [at('object-backend.ts', 'if (now.etag === etag) throw', 'if (now.etag !== undefined) throw')],
  },
  {
    rule: 14,
    name: 'leaves no hint of what it lets go of',
    patches: [at('hints.ts', 'if (releasing.length === 0) return;', 'return;')],
  },
  {
    rule: 14,
    name: 'removes hints before what they tell of is done',
    patches: [
      at(
        'collect.ts',
        'const isFinished = await forEach(read',
        'await protocol.store.delete(hints.map(({ key }) => key)); const isFinished = await forEach(read',
      ),
    ],
  },
];
