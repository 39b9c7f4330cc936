/** What an upgrade did. */
export interface UpgradeReport {
  /** Whether anything was changed: `false` for a store that has the newest format. */
  readonly upgraded: boolean;
  /** One sentence for each thing that was changed. */
  readonly changes: readonly string[];
}
