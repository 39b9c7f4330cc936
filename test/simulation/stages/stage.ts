import type { RuleName } from '../../../src/backends/object/rules.ts';
import type { Patch, ProtocolBuild } from '../protocol-build.ts';

/** What a rule is for, shown by a play that only the protocol with that rule gets through. */
export interface Stage {
  readonly rule: RuleName;
  readonly promise: string;
  /** Throws when the promise is broken. */
  readonly play: (build: ProtocolBuild) => Promise<void>;
  /** Mutants that lack the rule, each of which has to break the promise. */
  readonly mutants: readonly StageMutant[];
}

export interface StageMutant {
  /** What it does, or does not do. */
  readonly name: string;
  readonly patches: readonly Patch[];
}

/** A change of the text of a file of the protocol. */
export function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace };
}
