/** The directory of the development certificates and keys: made whole, checked whole, replaced whole. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { hasDevelopmentMarker } from '../core/development.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import { makeDevelopmentCertificates, makePrivateKeyPem } from './development-certificates.ts';
import { DevelopmentIssuer } from './development-issuer.ts';
import { developmentLimits } from './options.ts';
import { ensurePrivateDirectory, readOwnFile, writePrivateFile } from './private-files.ts';

const fileNames = ['ca.pem', 'gateway.pem', 'gateway.key', 'issuer.key'] as const;
type FileName = (typeof fileNames)[number];

export interface DevelopmentKeys {
  readonly issuer: DevelopmentIssuer;
  /** When the certificates run out. */
  readonly expiresAtMs: number;
  /** True where they were made just now. */
  readonly made: boolean;
}

/** Takes what is in `directory`, makes it where there is nothing or where it has little life left. */
export async function developmentKeys(directory: string, clock: Clock): Promise<DevelopmentKeys> {
  const found = await load(directory, clock);
  if (found && !wornOut(found.leaf, clock.now())) return { ...found.keys, made: false };
  await replace(directory, clock.now(), found !== undefined);
  const made = await load(directory, clock);
  if (!made) throw new LockwireError('io', `${directory} vanished while it was made`);
  return { ...made.keys, made: true };
}

/** Undefined where nothing is there; whatever is half there or broken is an error that names the file. */
async function load(
  directory: string,
  clock: Clock,
): Promise<{ readonly leaf: X509Certificate; readonly keys: Omit<DevelopmentKeys, 'made'> } | undefined> {
  const files = await readAll(directory);
  if (!files) return undefined;
  const path = (name: FileName): string => join(directory, name);
  const ca = parse(path('ca.pem'), directory, () => new X509Certificate(files['ca.pem']));
  const leaf = parse(path('gateway.pem'), directory, () => new X509Certificate(files['gateway.pem']));
  const key = parse(path('gateway.key'), directory, () => createPrivateKey(files['gateway.key']));
  if (!hasDevelopmentMarker(leaf.raw) || !leaf.verify(ca.publicKey))
    throw broken(path('gateway.pem'), directory, 'was not signed by ca.pem');
  if (!leaf.checkPrivateKey(key)) throw broken(path('gateway.key'), directory, 'does not fit gateway.pem');
  const issuer = await DevelopmentIssuer.from(files['issuer.key'], clock).catch(error => {
    throw broken(path('issuer.key'), directory, `is broken (${messageOf(error)})`);
  });
  return { leaf, keys: { issuer, expiresAtMs: leaf.validToDate.getTime() } };
}

async function readAll(directory: string): Promise<Record<FileName, string> | undefined> {
  const present = await readdir(directory).catch(error => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new LockwireError('config', `cannot read ${directory}: ${messageOf(error)}`, { cause: error });
  });
  if (!present) return undefined;
  await ensurePrivateDirectory(directory);
  const files: Partial<Record<FileName, string>> = {};
  for (const name of fileNames) {
    const text = await readOwnFile(join(directory, name), { secret: name.endsWith('.key') });
    if (text === undefined) throw broken(join(directory, name), directory, 'is missing');
    files[name] = text;
  }
  return files as Record<FileName, string>;
}

function parse<T>(path: string, directory: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // A parser's message says what is wrong with the form; it never quotes the content.
    throw broken(path, directory, `is broken (${messageOf(error)})`);
  }
}

function broken(path: string, directory: string, what: string): LockwireError {
  return new LockwireError('config', `${path} ${what}: remove ${directory} and it is made anew`);
}

function wornOut(leaf: X509Certificate, nowMs: number): boolean {
  const from = leaf.validFromDate.getTime();
  const to = leaf.validToDate.getTime();
  return nowMs < from || to - nowMs < (to - from) * developmentLimits.remakeBelow;
}

/** Built beside and renamed, so that a crash leaves the old ones, the new ones, or none: never a mixture. */
async function replace(directory: string, nowMs: number, existed: boolean): Promise<void> {
  const mark = randomBytes(6).toString('hex');
  const fresh = `${directory}.new-${mark}`;
  await mkdir(fresh, { mode: 0o700 });
  const certificates = await makeDevelopmentCertificates(nowMs);
  const texts: Record<FileName, string> = {
    'ca.pem': certificates.ca,
    'gateway.pem': certificates.cert,
    'gateway.key': certificates.key,
    'issuer.key': await makePrivateKeyPem(),
  };
  for (const name of fileNames) await writePrivateFile(join(fresh, name), texts[name]);
  const old = `${directory}.old-${mark}`;
  // Where another start of the same moment was first, its keys are as good: theirs stay, ours go.
  if (existed) await rename(directory, old).catch(unless('ENOENT'));
  await rename(fresh, directory).catch(unless('ENOTEMPTY', 'EEXIST'));
  await rm(fresh, { recursive: true, force: true });
  await rm(old, { recursive: true, force: true });
}

function unless(...codes: readonly string[]): (error: unknown) => void {
  return error => {
    if (!codes.includes(codeOf(error))) throw error;
  };
}
