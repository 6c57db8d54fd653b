import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthority } from '../../test/support/transport-certificates.ts';

/** Certificates (P-256, as everybody's) in a folder that lives as long as a run. */
export interface Material {
  readonly folder: string;
  readonly ca: string;
  /** Of whatever accepts: gateway, haproxy, backend. */
  readonly server: { readonly cert: string; readonly key: string; readonly both: string };
  /** Of whatever dials: the load, a haproxy's own upstream leg, connect and expose. */
  readonly client: { readonly cert: string; readonly key: string; readonly both: string };
  readonly pem: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Writes a file into the folder. */
  file(name: string, text: string): string;
  remove(): void;
}

/** The name that all the servers answer to. */
export const serverName = 'relay.example';

export async function makeMaterial(): Promise<Material> {
  const folder = mkdtempSync(join(tmpdir(), 'lockwire-bench-'));
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const authority = await makeAuthority({ name: 'Bench CA' });
  const write = async (name: string, issue: Parameters<typeof authority.issue>[0]) => {
    const { certPem, keyPem } = await authority.issue(issue);
    return {
      cert: file(`${name}.pem`, certPem),
      key: file(`${name}.key`, keyPem),
      both: file(`${name}-both.pem`, certPem + keyPem),
      pem: { cert: certPem, key: keyPem },
    };
  };
  const names = { dns: [serverName, 'localhost'], ips: ['127.0.0.1'] };
  const { pem: _, ...server } = await write('server', { ...names, usages: ['server'] });
  const { pem, ...client } = await write('client', {
    uris: ['spiffe://bench.example/load'],
    usages: ['client'],
  });
  return {
    folder,
    ca: file('ca.pem', authority.certPem),
    server,
    client,
    pem: { ca: authority.certPem, ...pem },
    file,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
