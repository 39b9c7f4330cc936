import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { inject } from 'vitest';
import type {} from './run-folder.ts';

const PROJECT = resolve(import.meta.dirname, '../../..');

/**
 * What every process needs: these folders are compiled, without checking types, into a folder of
 * their own.
 */
const SOURCES = ['src', 'test/local/process'];

/**
 * Turns the sources into JavaScript, once a run, so that processes which are to be killed run under
 * plain `node`.
 *
 * @param folder the agent's, with an `agent.ts`.
 * @returns the compiled agent's path.
 */
export function compileAgent(folder = 'test/local/process'): string {
  const target = join(inject('runFolder'), folder.replaceAll('/', '-'));
  if (!existsSync(target)) {
    const unfinished = `${target}.${process.pid}`;
    compile(folder, unfinished);
    try {
      renameSync(unfinished, target);
    } catch {
      // Another worker was quicker.
      rmSync(unfinished, { recursive: true });
    }
  }
  return join(target, folder, 'agent.js');
}

function compile(folder: string, target: string): void {
  mkdirSync(target, { recursive: true });
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
}
