import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf } from '../core/errors.ts';

/** Below this a store fills up while it is looked at: its database, its log and a copy of it in a checkpoint. */
const leastFreeBytes = 64 * 1024 * 1024;

export interface DirectorySeen {
  /** Whether it can be used as a store by this user. */
  readonly usable: boolean;
  readonly text: string;
}

/** Whether a store could be kept there, told without writing. */
export function lookAtDirectory(path: string): DirectorySeen {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    const above = nearestAbove(path);
    return mayWrite(above)
      ? { usable: true, text: `${path} is made at the first start` }
      : { usable: false, text: `${path} does not exist, and this user may not make it in ${above}` };
  }
  if (!found.isDirectory()) return { usable: false, text: `${path} is no directory` };
  if ((found.mode & 0o077) !== 0)
    return { usable: false, text: `others can read ${path} (mode ${mode(found.mode)}): chmod 700 ${path}` };
  if (!mayWrite(path)) return { usable: false, text: `this user may not write in ${path}` };
  const { bavail, bsize } = statfsSync(path);
  const freeMebibytes = Math.floor((bavail * bsize) / 1_048_576);
  if (bavail * bsize < leastFreeBytes)
    return { usable: false, text: `${path} has ${freeMebibytes} MiB left, at least 64 MiB are wanted` };
  return { usable: true, text: `${path} is writable, ${mode(found.mode)}, ${freeMebibytes} MiB are left` };
}

function nearestAbove(path: string): string {
  let above = dirname(path);
  while (above !== dirname(above) && statSync(above, { throwIfNoEntry: false }) === undefined)
    above = dirname(above);
  return above;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    if (['EACCES', 'EROFS', 'EPERM'].includes(codeOf(error))) return false;
    throw error;
  }
}

function mode(bits: number): string {
  return (bits & 0o7777).toString(8).padStart(4, '0');
}
