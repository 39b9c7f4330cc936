import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import type { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import type { wasTurnedAway } from '../../src/backends/object/service-fault.ts';
import type { VarveError } from '../../src/errors.ts';

/** A change of the source text. `find` must occur exactly once in the file. */
export interface Patch {
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** The protocol's code, as production runs it but for the patches. */
export interface ProtocolBuild {
  readonly ObjectBackend: typeof ObjectBackend;
  readonly VarveError: typeof VarveError;
  readonly wasTurnedAway: typeof wasTurnedAway;
}

const ROOT = join(import.meta.dirname, '../..');
const SOURCE = join(ROOT, 'src');
/** Inside of the package, so that the code finds its dependencies. */
const CACHE = join(ROOT, 'node_modules/.cache');

/** Builds of the protocol that differ in their source text: production code itself has no switches for tests. */
export class ProtocolBuilds implements Disposable {
  readonly #folder: string;
  readonly #files: readonly string[];
  #count = 0;

  constructor() {
    mkdirSync(CACHE, { recursive: true });
    this.#folder = mkdtempSync(join(CACHE, 'simulation-'));
    this.#files = ['', 'backends', 'backends/object'].flatMap((folder) =>
      readdirSync(join(SOURCE, folder))
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(folder, name)),
    );
    writeFileSync(join(this.#folder, 'package.json'), '{"type":"module"}');
    for (const file of this.#files)
      this.#write('plain', file, transpile(readFileSync(join(SOURCE, file), 'utf8'), file));
  }

  async load(patches: readonly Patch[]): Promise<ProtocolBuild> {
    const name = `build${this.#count++}`;
    const patched = new Map<string, string>();
    for (const { file, find, replace } of patches) {
      const text = patched.get(file) ?? readFileSync(join(SOURCE, file), 'utf8');
      const found = text.split(find).length - 1;
      if (found !== 1) throw new Error(`${file}: a patch must fit in one place, and fits in ${found}: ${find}`);
      patched.set(
        file,
        text.replace(find, () => replace),
      );
    }
    for (const file of this.#files) {
      const text = patched.get(file);
      if (text === undefined) this.#link(name, file);
      else this.#write(name, file, transpile(text, file));
    }
    const [{ ObjectBackend }, { VarveError }, { wasTurnedAway }] = await Promise.all([
      import(this.#urlOf(name, 'backends/object/object-backend.ts')),
      import(this.#urlOf(name, 'errors.ts')),
      import(this.#urlOf(name, 'backends/object/service-fault.ts')),
    ]);
    return { ObjectBackend, VarveError, wasTurnedAway };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #link(build: string, file: string): void {
    const path = this.#pathOf(build, file);
    mkdirSync(dirname(path), { recursive: true });
    linkSync(this.#pathOf('plain', file), path);
  }

  #write(build: string, file: string, text: string): void {
    const path = this.#pathOf(build, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  #pathOf(build: string, file: string): string {
    return join(this.#folder, build, file.replace(/\.ts$/, '.js'));
  }

  #urlOf(build: string, file: string): string {
    return pathToFileURL(this.#pathOf(build, file)).href;
  }
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
