import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, CommanderError } from 'commander';
import ts from 'typescript';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { EXIT } from '../../src/cli/session/exit-codes.ts';
import { addGlobalOptions } from '../../src/cli/session/session.ts';
import { MarkdownFile, markdownFiles, projectFiles, ROOT } from './documents.ts';

/** Pages whose TypeScript is one program from the first block to the last, and runs anywhere. */
const PROGRAMS = ['README.md', 'docs/library.md'];

/** Pages whose TypeScript needs something that is not here. */
const COMPILED = ['docs/s3.md'];

function programOf(path: string): string {
  const blocks = new MarkdownFile(path).blocks.filter(({ language }) => language === 'ts');
  return blocks.map(({ text }) => text).join('\n');
}

/** The examples in the comments of a source file, each with the line that it begins at. */
function commentExamples(path: string): { readonly name: string; readonly text: string }[] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  return [...text.matchAll(/^ *\* ```ts\n((?: *\*.*\n)*?) *\* ```$/gm)].map((match) => ({
    name: `${path}:${text.slice(0, match.index).split('\n').length}`,
    text: (match[1] as string).replaceAll(/^ *\* ?/gm, ''),
  }));
}

/** What examples in comments may use without saying where it comes from. */
const AROUND = `
import type * as varve from 'varve';
declare global {
  const store: varve.Store;
  const openStore: typeof varve.openStore;
  const restoreStore: typeof varve.restoreStore;
  const salvageStore: typeof varve.salvageStore;
  const doctor: typeof varve.doctor;
  const addressOf: typeof varve.addressOf;
  const parseAddress: typeof varve.parseAddress;
  const isAddress: typeof varve.isAddress;
  const parseDuration: typeof varve.parseDuration;
  const parseWhere: typeof varve.parseWhere;
  const isVarveError: typeof varve.isVarveError;
}
`;

/** Compiles modules that are in no file. */
function compile(modules: ReadonlyMap<string, string>): {
  readonly program: ts.Program;
  /** What is wrong with them, as the compiler says it. */
  readonly faults: string[];
} {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const pathOf = (name: string) => join(ROOT, 'test', `${name.replaceAll(/\W/g, '-')}.ts`);
  const virtual = new Map([...modules].map(([name, text]) => [pathOf(name), { name, text }]));
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const text = virtual.get(path)?.text;
    return text === undefined
      ? getSourceFile(path, languageVersion, ...rest)
      : ts.createSourceFile(path, `${text}\nexport {};\n`, languageVersion);
  };
  const program = ts.createProgram([...virtual.keys()], options, host);
  const faults = [...virtual].flatMap(([path, { name }]) => {
    const source = program.getSourceFile(path);
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    return found.map(({ messageText, start = 0 }) => {
      const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
      return `${name}, line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
  return { program, faults };
}

/** Exported functions, and public methods of exported classes, whose comments have no example. */
function withoutExample(program: ts.Program): string[] {
  const checker = program.getTypeChecker();
  const index = checker.getSymbolAtLocation(
    program.getSourceFile(join(ROOT, 'src/index.ts')) as ts.SourceFile,
  ) as ts.Symbol;
  const bare: string[] = [];
  const look = (name: string, node: ts.Node) => {
    const comments = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText());
    if (!comments.some((text) => text.includes('```ts'))) bare.push(name);
  };
  for (const symbol of checker.getExportsOfModule(index)) {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
    for (const node of target.declarations ?? []) {
      if (ts.isFunctionDeclaration(node)) look(symbol.name, node);
      if (!ts.isClassDeclaration(node)) continue;
      for (const member of node.members) {
        if (ts.isMethodDeclaration(member) && ts.isIdentifier(member.name))
          look(`${symbol.name}.${member.name.text}`, member);
      }
    }
  }
  return bare;
}

describe('examples in TypeScript', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'varve-examples-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('compile, in documents and in comments, which every public method has', () => {
    // An example of src/core/options/ is of what is not exported.
    const sources = projectFiles().filter((path) => /^src\/(?!core\/options).*\.ts$/.test(path));
    const inComments = sources.flatMap(commentExamples);
    const modules = new Map([
      ['around', AROUND],
      ...[...PROGRAMS, ...COMPILED].map((path): [string, string] => [path, programOf(path)]),
      ...inComments.map(({ name, text }): [string, string] => [name, text]),
    ]);
    const { program, faults } = compile(modules);
    expect(faults).toEqual([]);
    expect(withoutExample(program)).toEqual([]);
  }, 120_000);

  it('are found wrong where they are', () => {
    const wrong = "await store.conversations.put({ id: 'c1' }, { ifExist: 'skip' });";
    const { faults } = compile(
      new Map([
        ['around', AROUND],
        ['wrong', `\n${wrong}`],
      ]),
    );
    expect(faults).toEqual([expect.stringMatching(/^wrong, line 2: .*ifExist/)]);
  }, 120_000);

  it.each(PROGRAMS)('run, one after the other, in %s', async (path) => {
    const folder = mkdtempSync(join(scratch, 'program-'));
    const source = programOf(path).replaceAll("'./", `'${folder}/`);
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    });
    const file = join(folder, 'program.mjs');
    writeFileSync(file, outputText);
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      await import(pathToFileURL(file).href);
      expect(log).toHaveBeenCalled();
    } finally {
      log.mockRestore();
    }
  });
});

/** A command line as a shell takes it apart; what follows a pipe or redirects is the shell's. */
function wordsOf(line: string): string[] {
  const [command = ''] = line.split(/\s[#|<>&]/);
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? '',
  );
}

/** Why commander does not take a command line; `undefined` where it does. */
async function refusalOf(args: readonly string[]): Promise<string | undefined> {
  const silent = { writeOut: () => {}, writeErr: () => {} };
  const program = addGlobalOptions(new Command('varve')).exitOverride().configureOutput(silent);
  for (const addCommand of COMMANDS) addCommand(program, async () => {});
  try {
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined;
    return String(error);
  }
}

describe('examples of the command line', () => {
  const lines = markdownFiles().flatMap(({ path, blocks }) =>
    blocks
      .filter(({ language }) => ['sh', 'console'].includes(language))
      .flatMap(({ text }) => text.split('\n'))
      .map((line) => line.replace(/^\$ /, ''))
      .filter((line) => line.startsWith('varve '))
      .map((line): [string, string] => [path, line]),
  );

  it.each(lines)('are understood: in %s, %s', async (_path, line) => {
    expect(await refusalOf(wordsOf(line).slice(1))).toBeUndefined();
  });

  it('are found wrong', async () => {
    expect(await refusalOf(wordsOf("varve ls 'a b' --nowhere # or so").slice(1))).toMatch(
      '--nowhere',
    );
    expect(await refusalOf(['frobnicate'])).toMatch('frobnicate');
  });

  it('name every command and every exit code on their page', () => {
    const page = new MarkdownFile('docs/command-line.md').lines.join('\n');
    const program = new Command('varve');
    for (const addCommand of COMMANDS) addCommand(program, async () => {});
    for (const { name } of program.commands.map((command) => ({ name: command.name() })))
      expect(page).toContain(`| \`varve ${name}`);
    for (const code of Object.values(EXIT))
      expect(page).toMatch(new RegExp(`^\\| .*\\b${code}\\b`, 'm'));
  });
});
