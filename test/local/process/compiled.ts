import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';

const PROJECT = resolve(import.meta.dirname, '../../..');

/** What every process needs: these folders are compiled, without checking types, into a folder of their own. */
const SOURCES = ['src', 'test/local/process'];

/**
 * Turns the sources into JavaScript, so that processes which are to be killed run under plain `node`.
 *
 * @param folder the agent's, with an `agent.ts`.
 * @returns the compiled agent's path, and what removes it all again.
 */
export function compileAgent(folder = 'test/local/process'): { agent: string; remove: () => void } {
  const target = mkdtempSync(join(tmpdir(), 'varve-agent-'));
  writeFileSync(join(target, 'package.json'), '{"type":"module"}');
  symlinkSync(join(PROJECT, 'node_modules'), join(target, 'node_modules'));
  for (const source of new Set([...SOURCES, folder])) {
    for (const file of readdirSync(join(PROJECT, source), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const { outputText } = ts.transpileModule(readFileSync(join(PROJECT, source, file), 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      const path = join(target, source, file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, outputText);
    }
  }
  return {
    agent: join(target, folder, 'agent.js'),
    remove: () => rmSync(target, { recursive: true, force: true }),
  };
}
