import type { Command } from 'commander';
import type { Run } from './session.ts';

/** Adds a command to the program. Each file in `commands/` exports one. */
export type AddCommand = (program: Command, run: Run) => void;
