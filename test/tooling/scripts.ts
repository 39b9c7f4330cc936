import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Runs a script of the project on files in a folder of their own. */
export function runScript(
  name: string,
  files: Readonly<Record<string, string>>,
): { readonly status: number | null; readonly output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'varve-script-'));
  try {
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
    const script = resolve(import.meta.dirname, '../../scripts', name);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [script, ...Object.keys(files)],
      { cwd: folder, encoding: 'utf8' },
    );
    return { status, output: stdout + stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
