import type { Patch } from '../simulator/protocol-build.ts';

/** The protocol with one rule dropped, by patches of its source text. */
export interface Mutant {
  /** What it does, or does not do. */
  readonly name: string;
  readonly patches: readonly Patch[];
}

/** A change of the text of a file of the protocol. */
export function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace };
}
