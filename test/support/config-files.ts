import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LoadGatewayOptions, loadGatewayConfig } from '../../lib/config/load-gateway.ts';
import type { LoadedGatewayConfig } from '../../lib/config/loaded.ts';
import { type Authority, type Issued, makeAuthority } from './transport-certificates.ts';

/** A directory of its own with a good gateway config and all that it names. */
export interface ConfigFiles {
  readonly directory: string;
  readonly authority: Authority;
  readonly leaf: Issued;
  /** Writes a file, 0600 unless told otherwise, and gives its path. */
  write(name: string, text: string, mode?: number): string;
  /** Writes `gateway.json` and loads it. */
  load(config: string | object, options?: Partial<LoadGatewayOptions>): Promise<LoadedGatewayConfig>;
  /** The same, for a config that is refused: each line of the error, the directory shortened to `.`. */
  refusal(config: string | object, options?: Partial<LoadGatewayOptions>): Promise<string[]>;
  remove(): void;
}

export async function makeConfigFiles(): Promise<ConfigFiles> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'lockwire-config-')));
  const authority = await makeAuthority({ name: 'Test CA' });
  const leaf = await authority.issue({ commonName: 'gateway', dns: ['gateway.example'] });
  const write = (name: string, text: string, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  write('gateway.pem', leaf.certPem, 0o644);
  write('gateway.key', leaf.keyPem);
  write('ca.pem', authority.certPem, 0o644);
  write('ca.crl', await authority.crl({ serials: [] }), 0o644);
  write('policy.cedar', 'permit (principal, action, resource);\n', 0o644);
  const load: ConfigFiles['load'] = (config, options) => {
    const text = typeof config === 'string' ? config : JSON.stringify(config, null, 2);
    return loadGatewayConfig(write('gateway.json', text), { nowMs: Date.now(), ...options });
  };
  return {
    directory,
    authority,
    leaf,
    write,
    load,
    async refusal(config, options) {
      try {
        await load(config, options);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        return error.message.replaceAll(directory, '.').split('\n');
      }
      throw new Error('the config was accepted');
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}

/** The smallest config that says all that must be said, to be spoilt by a test. */
export function goodConfig(): {
  listeners: Record<string, unknown>[];
  identity: Record<string, unknown>;
  targets: Record<string, unknown>[];
  policy: Record<string, unknown>;
  [more: string]: unknown;
} {
  return {
    listeners: [{ name: 'public', bind: '127.0.0.1:0', tls: { cert: 'gateway.pem', key: 'gateway.key' } }],
    identity: { issuers: [{ name: 'corp', issuer: 'https://idp.example', audience: 'lockwire' }] },
    targets: [{ name: 'autogen', dialect: 'autogen-rpc', via: 'tunnel' }],
    policy: { files: ['policy.cedar'] },
  };
}
