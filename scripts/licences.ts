// The supply chain, as the lock file tells it: licences that a user may take, no odd sources, every package pinned.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LockedPackage, lockedPackages } from './lock-file.ts';

const permissive = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** All that is wrong with the lock file and package.json, one line each. */
export function supplyChainFaults(root: string): string[] {
  const faults: string[] = [];
  const packages = lockedPackages(root);
  if (packages.length < 10) faults.push(`package-lock.json: read only ${packages.length} packages`);
  for (const locked of packages) faults.push(...faultsOf(locked));
  return [...faults, ...looseVersions(root)];
}

function* faultsOf(locked: LockedPackage): Generator<string> {
  const { path, version, license, resolved, integrity, dev } = locked;
  const where = `${path} ${version}`;
  if (!dev && !permits(license)) {
    yield `${where}: licence "${license || 'none'}" is not in the permissive list`;
  }
  // npm writes the address of a package unless it is told not to; then it is the registry of whoever installs.
  if (resolved !== '' && !resolved.startsWith('https://registry.npmjs.org/')) {
    yield `${where}: comes from ${resolved}, not from the npm registry`;
  }
  if (!/^sha512-/.test(integrity)) yield `${where}: no sha512 integrity`;
}

/** `MIT`, or an expression such as `(MIT OR GPL-2.0)` of which a user may choose one. */
function permits(license: string): boolean {
  const choices = license.replace(/^\(|\)$/g, '').split(' OR ');
  return choices.some(choice => choice.split(' AND ').every(part => permissive.has(part.trim())));
}

/** What the program itself runs on is named by exact version: an update is a commit. */
function looseVersions(root: string): string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  return Object.entries({ ...manifest.dependencies, ...manifest.optionalDependencies })
    .filter(([, range]) => !/^\d+\.\d+\.\d+$/.test(range))
    .map(([name, range]) => `package.json: ${name} "${range}" is not an exact version`);
}
