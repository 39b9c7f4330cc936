import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

/** The repository. */
export const ROOT = resolve(import.meta.dirname, '../..');

/** What is not the project's own, or is made by a command. */
const SKIPPED = new Set(['node_modules', 'dist', 'coverage', '.git', 'results', 'api']);

/** Every file of the project, by its path from the root. */
export function projectFiles(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : projectFiles(path);
    return [relative(ROOT, path).split(sep).join('/')];
  });
}

/** A fenced block of code. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

/** A Markdown file, as far as its tests look at it. */
export class MarkdownFile {
  readonly path: string;
  readonly lines: readonly string[];
  readonly blocks: readonly CodeBlock[];
  /** The text without its blocks of code. */
  readonly prose: string;

  constructor(path: string, text = readFileSync(join(ROOT, path), 'utf8')) {
    this.path = path;
    this.lines = text.trimEnd().split('\n');
    this.blocks = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, block]) => ({
      language: language as string,
      text: block as string,
    }));
    this.prose = text.replaceAll(/^```.*?^```$/gms, '');
  }

  /** Where its links lead: `docs/s3.md#services`, relative to the file. */
  get links(): string[] {
    const text = this.prose.replaceAll(/`[^`\n]*`/g, 'code');
    const inline = [...text.matchAll(/\]\(\s*([^)\s]+)\s*\)/g)];
    const defined = [...text.matchAll(/^\[([^\]]+)\]: (\S+)$/gm)];
    return [
      ...inline.map(([, target]) => target as string),
      ...defined.map(([, , target]) => target as string),
    ];
  }

  /** Labels that links name, and those that are defined. */
  get labels(): { readonly used: string[]; readonly defined: string[] } {
    const used = [...this.prose.matchAll(/\]\[([^\]]+)\]/g)].map(([, label]) => label as string);
    const defined = [...this.prose.matchAll(/^\[([^\]]+)\]: /gm)];
    return { used, defined: defined.map(([, label]) => label as string) };
  }

  /** The anchors of its headings, as GitHub makes them. */
  get anchors(): string[] {
    const seen = new Map<string, number>();
    return [...this.prose.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => {
      const slug = (heading as string)
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    });
  }

  /** What stands in backticks. */
  get code(): string[] {
    return [...this.prose.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text as string);
  }
}

/** All Markdown files of the project. */
export function markdownFiles(): MarkdownFile[] {
  return projectFiles()
    .filter((path) => path.endsWith('.md'))
    .map((path) => new MarkdownFile(path));
}
