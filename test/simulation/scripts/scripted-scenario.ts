import type { RuleName } from '../../../src/backends/object/rules.ts';
import type { Mutant } from '../mutants/mutant.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';

/** One script that shows what a rule is for: the protocol passes it, and its mutants do not. */
export interface ScriptedScenario {
  readonly rule: RuleName;
  /** What the script shows, as a sentence. */
  readonly name: string;
  /** Throws when the protocol does not behave as the name says. */
  readonly run: (build: ProtocolBuild) => Promise<void>;
  /** Each of them has to fail. */
  readonly mutants: readonly Mutant[];
}
