import { existsSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import { build } from 'rolldown';
import { inject } from 'vitest';
import type {} from './run-folder.ts';

const PROJECT = resolve(import.meta.dirname, '../../..');

/** Files of an agent's folder that a process starts with. */
const ENTRIES: ReadonlySet<string> = new Set(['agent.ts', 'hooks.ts']);

/**
 * Turns an agent and the sources that it imports into one file of JavaScript, once a run, so that
 * processes which are to be killed run under plain `node`, and start soon.
 *
 * @param folder the agent's, with an `agent.ts`, and a `hooks.ts` where it registers hooks.
 * @returns the compiled agent's path.
 */
export async function compileAgent(folder = 'test/local/process'): Promise<string> {
  const target = join(inject('runFolder'), folder.replaceAll('/', '-'));
  if (!existsSync(target)) {
    const unfinished = `${target}.${process.pid}`;
    const sources = readdirSync(join(PROJECT, folder)).filter((file) => ENTRIES.has(file));
    await compile(
      Object.fromEntries(sources.map((file) => [parse(file).name, join(folder, file)])),
      unfinished,
    );
    symlinkSync(join(PROJECT, 'node_modules'), join(unfinished, 'node_modules'));
    try {
      renameSync(unfinished, target);
    } catch {
      // Another worker was quicker.
      rmSync(unfinished, { recursive: true });
    }
  }
  return join(target, 'agent.js');
}

/**
 * Makes of each source file and what it imports, packages excepted, one file of JavaScript.
 *
 * @param sources paths in the project, by the name of the output without its extension.
 */
export async function compile(
  sources: Readonly<Record<string, string>>,
  target: string,
): Promise<void> {
  await build({
    input: sources,
    cwd: PROJECT,
    platform: 'node',
    external: /^[^./]/,
    transform: { target: 'node20.19', define: { BUNDLED_VERSION: '"of tests"' } },
    output: { dir: target, format: 'esm' },
    logLevel: 'warn',
  });
  writeFileSync(join(target, 'package.json'), '{"type":"module"}');
}
