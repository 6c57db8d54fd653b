/** All that `lockwire up` needs and no one has yet: a CA, a certificate, an issuer, a policy and a config. */
import { join, resolve } from 'node:path';
import { parseLocalAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import {
  developmentConfig,
  developmentIssuerName,
  developmentPolicy,
  developmentTarget,
} from './development-config.ts';
import { developmentAudience, type TokenRequest } from './development-issuer.ts';
import { developmentKeys } from './development-keys.ts';
import { ensurePrivateDirectory, writePrivateFile } from './private-files.ts';
import { startRenewal, type TokenRenewal, type TokenRenewalOptions } from './token-renewal.ts';

export interface DevelopmentOptions {
  /** Made 0700 where missing; `.lockwire`. */
  readonly directory: string;
  readonly clock: Clock;
  /** Where the gateway will listen: a loopback address. */
  readonly listen: { readonly host: string; readonly port: number };
}

/** Absolute paths and names; development only, and marked so. */
export interface DevelopmentMaterial {
  readonly directory: string;
  /** The CA's certificate, for `--ca`. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly jwks: string;
  readonly policy: string;
  /** The gateway's config. */
  readonly config: string;
  readonly store: string;
  readonly adminSocket: string;
  /** Where token files go. */
  readonly tokens: string;
  readonly issuer: string;
  readonly issuerName: string;
  readonly audience: string;
  readonly target: string;
  /** When the certificates run out; they are made anew at a start with less than a fifth of their life left. */
  readonly expiresAtMs: number;
  /** True where certificates and keys were made just now. */
  readonly made: boolean;
  /** Signs an access token. */
  mintToken(request: TokenRequest): Promise<string>;
  /** Writes a token to a file, and a new one at 80 % of its life. */
  startTokenRenewal(options: Omit<TokenRenewalOptions, 'clock'>): Promise<TokenRenewal>;
}

/**
 * Makes what is missing, keeps what is good, and refuses what is broken or readable by others: a LockwireError that
 * names the file and what to do.
 */
export async function prepareDevelopment(options: DevelopmentOptions): Promise<DevelopmentMaterial> {
  const { clock } = options;
  const directory = resolve(options.directory);
  const bind = bindAddress(options.listen);
  const keysDirectory = join(directory, 'keys');
  const tokens = join(directory, 'tokens');
  await ensurePrivateDirectory(directory);
  // First, so that nothing that follows can ever be committed.
  await writePrivateFile(join(directory, '.gitignore'), '*\n');
  await ensurePrivateDirectory(tokens);
  const { issuer, expiresAtMs, made } = await developmentKeys(keysDirectory, clock);
  const paths = {
    ca: join(keysDirectory, 'ca.pem'),
    cert: join(keysDirectory, 'gateway.pem'),
    key: join(keysDirectory, 'gateway.key'),
    jwks: join(directory, 'issuer.jwks.json'),
    policy: join(directory, 'policy.cedar'),
    config: join(directory, 'gateway.json'),
    store: join(directory, 'data'),
    adminSocket: join(directory, 'admin.sock'),
  };
  const config = developmentConfig({
    bind,
    issuer: issuer.issuer,
    audience: developmentAudience,
    cert: 'keys/gateway.pem',
    key: 'keys/gateway.key',
    jwks: 'issuer.jwks.json',
    policy: 'policy.cedar',
    store: 'data',
    adminSocket: 'admin.sock',
  });
  await writePrivateFile(paths.jwks, issuer.jwks);
  await writePrivateFile(paths.policy, developmentPolicy);
  await writePrivateFile(paths.config, config);
  const mintToken = (request: TokenRequest): Promise<string> => issuer.mint(request);
  return {
    ...paths,
    directory,
    tokens,
    issuer: issuer.issuer,
    issuerName: developmentIssuerName,
    audience: developmentAudience,
    target: developmentTarget,
    expiresAtMs,
    made,
    mintToken,
    startTokenRenewal: renewal => startRenewal({ ...renewal, clock }, mintToken),
  };
}

/** Development material never serves beyond loopback. */
function bindAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  parseLocalAddress(address, 'listen');
  return address;
}
