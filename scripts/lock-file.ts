// What package-lock.json says is installed for use, not only for development.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LockedPackage {
  /** `node_modules/…`, from the project's root. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly resolved: string;
  readonly integrity: string;
  readonly dev: boolean;
  /** Only on some platforms: the Node that npm carries. */
  readonly optional: boolean;
  readonly installScript: boolean;
}

interface RawPackage {
  version?: string;
  license?: string;
  resolved?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
}

export function lockedPackages(root: string): LockedPackage[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, RawPackage>;
  };
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, raw]) => ({
      path,
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: raw.version ?? '',
      license: raw.license ?? '',
      resolved: raw.resolved ?? '',
      integrity: raw.integrity ?? '',
      dev: raw.dev ?? false,
      optional: raw.optional ?? false,
      installScript: raw.hasInstallScript ?? false,
    }));
}
