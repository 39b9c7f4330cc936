import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { VarveError } from '../../../core/errors.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import type { AuditReport, AuditSettings, Finding } from '../../contract/maintenance.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { integrityFaults } from '../database/index-upkeep.ts';
import { PackReader, PackVanished, packPath } from '../files/pack-files.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { BODIES, KIND_NUMBERS, SEGMENTS } from '../format/schema.ts';
import { outdatedIndex, unknownCommits } from '../packs/unknown-commits.ts';
import { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, manifestEntry, uploaderOf } from '../tables/manifest-table.ts';
import { segmentEntry } from '../tables/segment-resolver.ts';
import { type BlockSurvey, strayFiles, surveyBlocks } from './audit-blocks.ts';
import { markDamaged, repairCounts, repairFingerprints, repairStrayFile } from './audit-repair.ts';
import {
  describeCount,
  describeRecord,
  type ReferenceSurvey,
  surveyReferences,
  unindexedManifests,
  type WrongCount,
  wrongCounts,
} from './audit-survey.ts';
import { findUnaccounted, manifestsIn } from './audit-unaccounted.ts';

/**
 * An audit that met a pack which a collection removed meanwhile starts again, at most this often.
 */
const ATTEMPTS = 5;

/** Work between two turns of the event loop, in ms. */
const TURN_MS = 20;

const SPACE_NAMES = ['segments', 'manifests', 'the log'] as const;

interface AuditResult {
  readonly findings: Finding[];
  readonly report: AuditReport;
}

/**
 * Verifies a local store. It reads through a connection of its own, in one snapshot, so that
 * writers neither wait nor confuse it; the write-ahead log grows meanwhile. Repairs are
 * transactions on the main connection.
 */
export async function auditLocal(
  context: MaintenanceContext,
  options: AuditSettings,
): Promise<AuditResult> {
  for (let attempt = 1; ; attempt++) {
    const database = context.index.database.sibling();
    const packs = new PackReader(context.folder);
    try {
      database.holdSnapshot();
      const index = new LocalIndex(context.root, database, packs);
      index.refresh();
      return await new Audit(context, index, options).run();
    } catch (cause) {
      const error =
        cause instanceof PackVanished && !isNamed(context, cause.pack)
          ? new SnapshotOutdated()
          : cause;
      if (!(error instanceof SnapshotOutdated) || attempt === ATTEMPTS) throw error;
    } finally {
      packs.closeAll();
      database.close();
    }
  }
}

/** Whether the index as it is now expects anything in a pack. */
function isNamed({ index }: MaintenanceContext, pack: number): boolean {
  return index.database.get('SELECT 1 FROM block WHERE pack = ?', pack) !== undefined;
}

/** A pack of the snapshot was removed by a collection. */
class SnapshotOutdated extends VarveError {
  constructor() {
    super(
      'BUSY',
      'collections kept removing packs under the audit: run it again when they have ended',
    );
  }
}

class Audit {
  readonly #context: MaintenanceContext;
  /** The store as the audit's snapshot has it. */
  readonly #index: LocalIndex;
  readonly #options: AuditSettings;
  readonly #started = performance.now();
  readonly #findings: Finding[] = [];
  #lastTurn = performance.now();

  constructor(context: MaintenanceContext, index: LocalIndex, options: AuditSettings) {
    this.#context = context;
    this.#index = index;
    this.#options = options;
  }

  async run(): Promise<AuditResult> {
    const faults = integrityFaults(this.#index.database);
    if (faults.length > 0) return this.#reportIndex(faults);
    const { sample } = this.#options;
    const isSampled = () => sample >= 1 || Math.random() < sample;
    const onDamage = (error: VarveError) => this.#assertCurrent(error);
    const blocks = await surveyBlocks(this.#index, isSampled, onDamage, (done, total) =>
      this.#turn('blocks', done, total),
    );
    const damaged = new IdSet();
    for (const { record } of blocks.damagedSegments) damaged.add(record);
    const isSuspect = (segment: number) =>
      damaged.has(segment) || !blocks.presentSegments.has(segment);
    const references = await surveyReferences(this.#index, isSuspect, onDamage, (done, total) =>
      this.#turn('manifests', done, total),
    );
    await this.#reportBlocks(blocks, references);
    this.#reportManifests(references);
    this.#reportMissing(blocks, references);
    await this.#reportCounts(blocks, references);
    await this.#reportFingerprints(blocks, references);
    await this.#reportUploads();
    await this.#reportUnaccounted();
    await this.#reportStrayFiles();
    return this.#result(references.manifests, blocks.segments, blocks.verifiedBytes);
  }

  #result(manifests: number, segments: number, verifiedBytes: number): AuditResult {
    const findings = this.#findings;
    const unrepaired = findings.filter(({ repaired }) => !repaired).length;
    const durationMs = performance.now() - this.#started;
    return {
      findings,
      report: {
        manifests,
        segments,
        verifiedBytes,
        findings: findings.length,
        unrepaired,
        durationMs,
      },
    };
  }

  /** With a damaged index nothing else can be told. */
  #reportIndex(faults: readonly string[]): AuditResult {
    for (const fault of faults) {
      this.#add({
        kind: 'corrupt-data',
        message:
          `the index is damaged: ${fault.replaceAll('\n', ' ')}; rebuild the store from its ` +
          'packs with varve salvage',
        location: join(this.#context.root, 'varve.db'),
        harmful: true,
      });
    }
    return this.#result(0, 0, 0);
  }

  /** Starts over when a pack that the snapshot names is gone because everything in it was moved. */
  #assertCurrent(error: VarveError): void {
    if (error instanceof PackVanished && !isNamed(this.#context, error.pack))
      throw new SnapshotOutdated();
  }

  async #reportBlocks(
    { damagedBlocks, damagedSegments, unreachable }: BlockSurvey,
    references: ReferenceSurvey,
  ): Promise<void> {
    for (const { block, reason, isMissing } of damagedBlocks) {
      this.#add({
        kind: isMissing ? 'missing-data' : 'corrupt-data',
        message: `a block of ${SPACE_NAMES[block.space]} cannot be read: ${reason}`,
        location: `${packPath(this.#context.root, block.pack)} at byte ${block.start}`,
        harmful: true,
      });
    }
    if (this.#options.repair) {
      const records = damagedSegments
        .map(({ record }) => record)
        .filter((record) => !this.#index.damaged.has(record));
      if (records.length > 0) await markDamaged(this.#context, records);
    }
    for (const { record, address, reason } of damagedSegments) {
      const isMarked = this.#options.repair || this.#index.damaged.has(record);
      this.#add({
        kind: 'corrupt-data',
        message: `segment ${address} is damaged: ${reason}`,
        address,
        manifests: this.#keys(references.holders.get(record)),
        repair: isMarked ? MARKED : TO_MARK,
        harmful: references.references.get(record) > 0,
      });
    }
    for (const { space, block, record } of unreachable) {
      this.#add({
        kind: 'missing-data',
        message:
          `${describeRecord(space, record)} is in block ${block}, but the index does not lead ` +
          'there',
        location: `block ${block}`,
        harmful: true,
      });
    }
  }

  #reportManifests({ broken }: ReferenceSurvey): void {
    for (const { row, reason } of broken) {
      const manifests = this.#keys([row]);
      const id = JSON.stringify(manifests[0]?.id);
      this.#add({
        kind: 'corrupt-manifest',
        message: `manifest ${id} cannot be read: ${reason}`,
        manifests,
        harmful: true,
      });
    }
  }

  #reportMissing({ presentSegments }: BlockSurvey, { references, holders }: ReferenceSurvey): void {
    for (const record of references.ids()) {
      if (presentSegments.has(record)) continue;
      const manifests = this.#keys(holders.get(record));
      this.#add({
        kind: 'missing-data',
        message: `${describeRecord(SEGMENTS, record)} is referenced, but no readable block holds it`,
        manifests,
        harmful: true,
      });
    }
  }

  async #reportCounts(
    { present }: BlockSurvey,
    { references, bodies, broken }: ReferenceSurvey,
  ): Promise<void> {
    const wrong: WrongCount[] = [
      ...wrongCounts(this.#index, SEGMENTS, present[SEGMENTS], (record) => references.get(record)),
      ...wrongCounts(this.#index, BODIES, present[BODIES], (record) =>
        bodies.has(record) ? 1 : 0,
      ),
    ];
    // What a manifest that cannot be read references is not known, so a count that looks too high
    // may be right.
    const certain = wrong.filter(
      ({ stored, actual }) => broken.length === 0 || actual > Math.max(0, stored),
    );
    const repaired = this.#options.repair;
    if (repaired && certain.length > 0) await repairCounts(this.#context, certain);
    for (const { space, record, stored, actual } of certain) {
      const place = space === SEGMENTS ? this.#index.records.locate(SEGMENTS, record) : undefined;
      const holders =
        actual === 1 ? '1 manifest entry references it' : `${actual} manifest entries reference it`;
      this.#add({
        kind: 'wrong-count',
        message:
          `${describeRecord(space, record)} is counted ${describeCount(stored)}, but ` +
          `${holders}`,
        ...(place === undefined ? {} : { address: place.directory.address(place.slot) }),
        repair: 'set the count to what the manifests say',
        repaired,
        harmful: false,
      });
    }
  }

  async #reportFingerprints(
    blocks: BlockSurvey,
    { references, fingerprints }: ReferenceSurvey,
  ): Promise<void> {
    const { present } = blocks;
    const repaired = this.#options.repair;
    const segments: FingerprintEntry[] = [];
    const turn = () => this.#turn('fingerprints', 0, 0);
    const foundSegments = await blocks.fingerprints.found(this.#index.segmentFingerprints, turn);
    const foundManifests = await fingerprints.found(this.#index.manifestFingerprints, turn);
    const unindexed = unindexedManifests(this.#index, foundManifests);
    for (const ids of present[SEGMENTS]) {
      for (const record of ids) {
        if (foundSegments.has(record) || references.get(record) === 0) continue;
        const place = this.#index.records.locate(SEGMENTS, record);
        if (place === undefined) continue;
        const address = place.directory.address(place.slot);
        segments.push(segmentEntry(address, record));
        const message =
          `segment ${address} is stored, but a lookup does not find it, so it would be stored ` +
          'again';
        this.#add({
          kind: 'unindexed',
          message,
          address,
          repair: 'enter it into the index',
          repaired,
          harmful: false,
        });
      }
      await this.#turn('fingerprints', 0, 0);
    }
    const manifests = unindexed.map((row) => {
      const { key } = this.#index.manifests.head(row);
      const message = `manifest ${JSON.stringify(key.id)} is stored, but a lookup does not find it`;
      this.#add({
        kind: 'unindexed',
        message,
        manifests: [key],
        repair: 'enter it into the index',
        repaired,
        harmful: true,
      });
      return manifestEntry(key, row.id);
    });
    if (repaired && segments.length + manifests.length > 0)
      await repairFingerprints(this.#context, segments, manifests);
  }

  /** Streams whose process is gone: a collection deletes them, too. */
  async #reportUploads(): Promise<void> {
    const { owner, index } = this.#context;
    const rows = this.#index.database.all<ManifestRow>(
      'SELECT * FROM manifest WHERE kind = ? AND kind <> 0',
      KIND_NUMBERS.upload,
    );
    for (const row of rows.filter((each) => !owner.isAlive(uploaderOf(each)))) {
      const key = index.manifests.key(row);
      if (this.#options.repair) await this.#context.commit([{ operation: 'delete', key }]);
      this.#add({
        kind: 'stale-writer',
        message: `upload ${key.id} was cut off: its process is gone`,
        location: `manifest row ${row.id}`,
        repair: 'delete what it has stored, as a collection does',
        repaired: this.#options.repair,
        harmful: false,
      });
    }
  }

  /** Compared with the index as it is now, for writers go on beside an audit. */
  async #reportUnaccounted(): Promise<void> {
    const { index, owner } = this.#context;
    for (const { pack, ...finding } of await findUnaccounted(this.#context)) {
      const repaired = this.#options.repair && pack !== undefined;
      if (repaired) await index.database.write(() => owner.sealAbandoned([pack]));
      this.#add({ ...finding, repaired });
    }
  }

  /** Compared with the index as it is now: packs are registered before they are created. */
  async #reportStrayFiles(): Promise<void> {
    const { index, folder } = this.#context;
    for (const path of strayFiles(index, folder)) {
      const unknown = unknownCommits(index.database, path);
      if (unknown !== undefined) {
        const manifests = manifestsIn(unknown);
        this.#add({
          kind: 'missing-data',
          message: outdatedIndex(path, 0),
          location: path,
          manifests,
          harmful: true,
        });
        continue;
      }
      const isRepaired =
        this.#options.repair &&
        (await repairStrayFile(this.#context, path, () =>
          strayFiles(index, folder).includes(path),
        ));
      this.#add({
        kind: 'orphaned-data',
        message: `${path} does not belong to the store`,
        location: path,
        repair: 'remove the file',
        repaired: isRepaired,
        harmful: false,
      });
    }
  }

  #keys(rows: readonly ManifestRow[] | undefined): ManifestKey[] {
    return (rows ?? []).map((row) => this.#index.manifests.head(row).key);
  }

  #add(finding: Pick<Finding, 'kind' | 'message' | 'harmful'> & Partial<Finding>): void {
    this.#findings.push({ manifests: [], repair: 'none', repaired: false, ...finding });
  }

  async #turn(phase: string, done: number, total: number): Promise<void> {
    if (performance.now() - this.#lastTurn < TURN_MS) return;
    throwIfAborted(this.#options.signal);
    this.#options.onProgress?.({ phase, done, total });
    await nextTurn();
    this.#lastTurn = performance.now();
  }
}
