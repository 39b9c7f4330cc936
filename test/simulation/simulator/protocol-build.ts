import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import type { wasTurnedAway } from '../../../src/backends/storage/service-fault.ts';
import type { VarveError } from '../../../src/core/errors.ts';

/**
 * A change of the source text. `find` must occur exactly once in the file; line breaks need not
 * match.
 */
export interface Patch {
  /**
   * The file's name without its folder. No other file of the protocol may have that name.
   */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** The protocol's code as production runs it, with patches. */
export interface ProtocolBuild {
  readonly ObjectBackend: typeof ObjectBackend;
  readonly VarveError: typeof VarveError;
  readonly wasTurnedAway: typeof wasTurnedAway;
}

const ROOT = join(import.meta.dirname, '../../..');
const SOURCE = join(ROOT, 'src');
/** Inside the package, so that the code finds its dependencies. */
const CACHE = join(ROOT, 'node_modules/.cache');
/** The files that a simulation imports. */
const ENTRIES = ['object-backend.ts', 'service-fault.ts', 'errors.ts'];
const IMPORT = /\b(?:from|import) ?\(?'(\.[^']+)'/g;

/**
 * Builds of the protocol that differ in their source text: production code itself has no switches
 * for tests.
 */
export class ProtocolBuilds implements Disposable {
  readonly #folder: string;
  /** Paths below `src/`. */
  readonly #files: ReadonlySet<string>;
  #count = 0;

  constructor() {
    mkdirSync(CACHE, { recursive: true });
    this.#folder = mkdtempSync(join(CACHE, 'simulation-'));
    this.#files = protocolFiles();
    writeFileSync(join(this.#folder, 'package.json'), '{"type":"module"}');
    for (const file of this.#files) {
      this.#write('plain', file, transpile(readFileSync(join(SOURCE, file), 'utf8'), file));
    }
  }

  async load(patches: readonly Patch[]): Promise<ProtocolBuild> {
    const name = `build${this.#count++}`;
    const patched = new Map<string, string>();
    for (const patch of patches) {
      const path = this.#pathOf(patch.file);
      patched.set(
        path,
        patchedText(patched.get(path) ?? readFileSync(join(SOURCE, path), 'utf8'), patch),
      );
    }
    for (const file of this.#files) {
      const text = patched.get(file);
      if (text === undefined) this.#link(name, file);
      else this.#write(name, file, transpile(text, file));
    }
    const [{ ObjectBackend }, { VarveError }, { wasTurnedAway }] = await Promise.all([
      import(this.#urlOf(name, 'object-backend.ts')),
      import(this.#urlOf(name, 'errors.ts')),
      import(this.#urlOf(name, 'service-fault.ts')),
    ]);
    return { ObjectBackend, VarveError, wasTurnedAway };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #link(build: string, path: string): void {
    const output = this.#outputOf(build, path);
    mkdirSync(dirname(output), { recursive: true });
    linkSync(this.#outputOf('plain', path), output);
  }

  #write(build: string, path: string, text: string): void {
    const output = this.#outputOf(build, path);
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, text);
  }

  #outputOf(build: string, path: string): string {
    return join(this.#folder, build, path.replace(/\.ts$/, '.js'));
  }

  #urlOf(build: string, file: string): string {
    return pathToFileURL(this.#outputOf(build, this.#pathOf(file))).href;
  }

  #pathOf(file: string): string {
    const [path, ...others] = [...this.#files].filter((each) => basename(each) === file);
    if (path === undefined) throw new Error(`the protocol has no file ${file}`);
    if (others.length > 0)
      throw new Error(`the protocol has several files ${file}: ${[path, ...others].join(', ')}`);
    return path;
  }
}

/** The paths of the files that the entries import, directly or not. */
function protocolFiles(): ReadonlySet<string> {
  const paths = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' });
  const files = new Set<string>();
  const rest = paths.filter((path) => ENTRIES.includes(basename(path)));
  for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    for (const [, imported] of readFileSync(join(SOURCE, path), 'utf8').matchAll(IMPORT)) {
      rest.push(join(dirname(path), imported as string));
    }
  }
  return files;
}

/** The text with the patch. Spaces, line breaks and trailing commas need not match. */
function patchedText(text: string, { file, find, replace }: Patch): string {
  const tokens = find.match(/\w+|[^\w\s]/g) ?? [];
  const pattern = tokens.map((token) =>
    /[)\]}]/.test(token) ? `,?\\s*\\${token}` : token.replace(/\W/, '\\$&'),
  );
  const places = new RegExp(pattern.join('\\s*'), 'g');
  const found = text.match(places)?.length ?? 0;
  if (found !== 1)
    throw new Error(`${file}: a patch must fit in one place, and fits in ${found}: ${find}`);
  return text.replace(places, () => replace);
}

function transpile(text: string, file: string): string {
  return ts.transpileModule(text, {
    fileName: relative(ROOT, file),
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
      inlineSourceMap: true,
    },
  }).outputText;
}
