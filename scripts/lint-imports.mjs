/**
 * Checks the import direction of src/ with dependency-cruiser. It fails on a violation, and also
 * when fewer modules were read than there are files (a check that reads nothing proves nothing), or
 * when a folder has no rule.
 *
 * Usage: node scripts/lint-imports.mjs [directory with src/ and tsconfig.json; default: this
 * project]
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const project = fileURLToPath(new URL('..', import.meta.url));
const { folders, forbidden, options } = createRequire(import.meta.url)(
  '../.dependency-cruiser.cjs',
);

process.chdir(process.argv[2] ?? project);
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

const { output } = await cruise(
  ['src'],
  { ...options, validate: true, ruleSet: { forbidden } },
  {
    exportsFields: options.enhancedResolveOptions.exportsFields,
    conditionNames: options.enhancedResolveOptions.conditionNames,
  },
  { tsConfig: extractTSConfig(options.tsConfig.fileName) },
);
if (typeof output === 'string') throw new Error(output);

const read = output.modules.filter((module) => module.source.startsWith('src/')).length;
for (const violation of output.summary.violations) {
  console.error(`${violation.rule.name}: ${violation.from} → ${violation.to}`);
}
const unruled = sources.filter((name) => !(dirname(name) in folders) && dirname(name) !== '.');
const violations = output.summary.error + unruled.length;
for (const name of unruled) console.error(`no rule: src/${dirname(name)} of ${name}`);
if (read === 0 || read < sources.length) {
  console.error(`import check: read ${read} of ${sources.length} files under src/`);
  process.exitCode = 1;
} else if (violations > 0) {
  console.error(`import check: ${violations} violations; the rules are in .dependency-cruiser.cjs`);
  process.exitCode = 1;
} else {
  console.log(`import check: ${read} files, no violation`);
}
