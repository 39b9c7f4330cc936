import type { CollectSettings, CollectShare, Remnant } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { CollectScope } from './collect-scope.ts';
import type { PackSurvey } from './pack-survey.ts';

const NONE: CollectShare = { count: 0, bytes: 0 };

/** What the steps of one collection share. */
export class CollectRun {
  readonly context: MaintenanceContext;
  readonly options: CollectSettings;
  readonly scope: CollectScope;
  readonly graceMs: number;
  /** Garbage from this time on, in ms since the epoch, is within the grace. */
  cutoff = 0;
  /** Expired manifests, and their logical bytes. */
  expired = NONE;
  /** Uploads whose process is gone. */
  abandoned = NONE;
  /** Segments that are collected. */
  swept = NONE;
  /** Segments that nothing references, within the grace. */
  waiting = NONE;
  /** Packs that were rewritten, as they were before. */
  rewritten: readonly PackSurvey[] = [];
  /** Stored bytes freed; below 0 when more were written. */
  freedBytes = 0;
  /** Stored bytes that are dead, and not rewritten. */
  deadBytes = 0;
  remnants: readonly Remnant[] = [];
  isComplete = true;

  constructor(context: MaintenanceContext, options: CollectSettings) {
    this.context = context;
    this.options = options;
    this.scope = new CollectScope(options);
    this.graceMs = options.erase ? 0 : options.graceMs;
  }
}
