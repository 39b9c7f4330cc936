import type { Address } from '../../../core/address.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { LineSorter } from '../../../core/sorting/line-sorter.ts';
import { TemporaryFolder } from '../../../core/sorting/temporary-folder.ts';
import type { FoundReference, ReferenceRepair } from '../commit/reference-repair.ts';
import type { Generation } from '../format/sidecar.ts';
import { ReferenceScan, type SegmentReferences } from '../listing/reference-scan.ts';
import { isUsable } from '../tables/sidecar-changes.ts';
import type { CollectRun } from './collect-run.ts';
import type { Verdict } from './judge.ts';
import { SuspectFilter } from './suspect-filter.ts';

/** Suspects decided about together. */
const WINDOW = 250;

/** A segment that looks like garbage, at that generation. */
interface Suspect {
  readonly address: Address;
  readonly gen: Generation;
  readonly isUsable: boolean;
}

/** A suspect, and the references of committed manifests that name it at its generation. */
interface NamedSuspect extends Suspect {
  readonly references: readonly FoundReference[];
}

/**
 * Segments that look like garbage to a full collection, by what their sidecars say. A sidecar may
 * be wrong, so all manifests are read first (rule `ask-manifests-before-sweeping`): a segment that
 * one of them names stays, and its sidecar is repaired. Where nothing is suspect, no manifest is
 * read. Many suspects, and many references to them, go to temporary files.
 */
export class Suspects {
  readonly #run: CollectRun;
  readonly #repair: ReferenceRepair;
  readonly #sweep: (addresses: readonly Address[]) => Promise<unknown>;
  readonly #folder: TemporaryFolder;
  #lines: LineSorter;

  /** @param sweep collects segments that no manifest names. */
  constructor(
    run: CollectRun,
    repair: ReferenceRepair,
    sweep: (addresses: readonly Address[]) => Promise<unknown>,
  ) {
    this.#run = run;
    this.#repair = repair;
    this.#sweep = sweep;
    this.#folder = new TemporaryFolder(run.protocol.settings.temporaryFolder);
    this.#lines = this.#none();
  }

  /** Adds the segments that are due. */
  async add(verdicts: readonly Verdict[]): Promise<void> {
    for (const { address, outcome, sidecar } of verdicts) {
      if (outcome === 'due' && sidecar !== undefined)
        this.#lines.add(encode({ address, gen: sidecar.gen, isUsable: isUsable(sidecar) }));
    }
    if (this.#lines.isFull) await this.#lines.makeRoom();
  }

  /** Reads all manifests once, keeps the suspects that they name, and sweeps the others. */
  async sweepUnnamed(): Promise<void> {
    const suspects = this.#lines;
    this.#lines = this.#none();
    if (suspects.size === 0) return;
    const { protocol, scope } = this.#run;
    const scan = new ReferenceScan(protocol, { only: filterOf(suspects) });
    try {
      // What the deadline leaves out is left to the next run.
      if (!(await scan.run({ isOver: () => scope.isOver() }, scope.signal))) return;
      const named = this.#named(suspects, scan.inOrder());
      for await (const window of batchesOf(named, { count: WINDOW })) await this.#decide(window);
    } finally {
      scan.close();
    }
  }

  /** Removes what is on disk. */
  close(): void {
    this.#folder.remove();
  }

  #none(): LineSorter {
    const { settings, randomness } = this.#run.protocol;
    return new LineSorter(this.#folder, settings.scannedReferences, randomness);
  }

  /** Both come in the order of addresses. */
  *#named(
    suspects: LineSorter,
    scanned: Iterator<SegmentReferences>,
  ): Generator<NamedSuspect, void, undefined> {
    let next = scanned.next();
    for (const suspect of eachOnce(suspects)) {
      while (!next.done && next.value.address < suspect.address) next = scanned.next();
      const isNamed = !next.done && next.value.address === suspect.address;
      yield { ...suspect, references: isNamed ? this.#naming(suspect, next.value) : [] };
    }
  }

  /** The references to a suspect at its generation, without those that are as good as dropped. */
  #naming({ address, gen }: Suspect, { committed }: SegmentReferences): FoundReference[] {
    return [...committed].flatMap(([token, reference]) =>
      reference.gen === gen && !this.#run.foreseen.drops(address, token)
        ? [{ token, key: reference.key, gen }]
        : [],
    );
  }

  async #decide(window: readonly NamedSuspect[]): Promise<void> {
    const { scope } = this.#run;
    const isNamed = ({ references }: NamedSuspect) => references.length > 0;
    if (!scope.dryRun) await mapAll(window.filter(isNamed), (each) => this.#keep(each));
    const unnamed = window.filter((each) => !isNamed(each));
    await this.#sweep(unnamed.map(({ address }) => address));
  }

  async #keep({ address, gen, isUsable: isInUse, references }: NamedSuspect): Promise<void> {
    // A reference that was dropped meanwhile is left to the next run.
    const confirmed = await this.#repair.confirm(address, references);
    if (isInUse) {
      await this.#repair.count(
        address,
        confirmed.map(({ token }) => token),
      );
    } else await this.#repair.move(address, confirmed, new Set<Generation>([gen]));
  }
}

/** A segment that changed while it was judged is not garbage for certain: the next run looks. */
function* eachOnce(suspects: LineSorter): Generator<Suspect, void, undefined> {
  let suspect: Suspect | undefined;
  let hasChanged = false;
  let before: string | undefined;
  for (const line of suspects.sorted()) {
    if (line === before) continue;
    before = line;
    const next = decode(line);
    if (next.address === suspect?.address) {
      hasChanged = true;
      continue;
    }
    if (suspect !== undefined && !hasChanged) yield suspect;
    suspect = next;
    hasChanged = false;
  }
  if (suspect !== undefined && !hasChanged) yield suspect;
}

function filterOf(suspects: LineSorter): SuspectFilter {
  const filter = new SuspectFilter(suspects.size);
  for (const line of suspects.sorted()) filter.add(decode(line).address);
  return filter;
}

function encode({ address, gen, isUsable: isInUse }: Suspect): string {
  return `${address} ${gen} ${isInUse ? 'usable' : 'given-up'}`;
}

function decode(line: string): Suspect {
  const [address, gen, state] = line.split(' ') as [Address, Generation, string];
  return { address, gen, isUsable: state === 'usable' };
}
