// Writes the generated files; with --check, only says which differ. Each generator is a function from nothing to text.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchmarksPage } from '../bench/path/page.ts';
import { configJsonSchema, configReference } from './config-reference.ts';
import { autogenDescriptor } from './generate-autogen.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Path from the project's root → its text. */
const generators: Record<string, () => string | Promise<string>> = {
  'lib/gen/autogen.ts': () => autogenDescriptor(root),
  'docs/benchmarks.md': benchmarksPage,
  'docs/config.schema.json': configJsonSchema,
  'docs/configuration.md': configReference,
};

const checking = process.argv.includes('--check');
for (const [path, generate] of Object.entries(generators)) {
  const full = join(root, path);
  const wanted = await generate();
  const found = existsSync(full) ? readFileSync(full, 'utf8') : undefined;
  if (found === wanted) continue;
  if (checking) {
    process.stderr.write(`${path} is not what 'npm run generate' writes\n`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, wanted);
  process.stdout.write(`wrote ${path}\n`);
}
