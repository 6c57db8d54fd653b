import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { makeAuthority } from '../../test/support/transport-certificates.ts';

/** Certificates (P-256, as everybody's) in a folder that lives as long as a run. */
export interface Material {
  readonly folder: string;
  readonly ca: string;
  /** Of whatever accepts: gateway, haproxy, backend. */
  readonly server: { readonly cert: string; readonly key: string; readonly both: string };
  /** Of whatever dials: the load, a haproxy's own upstream leg, connect and expose. */
  readonly client: { readonly cert: string; readonly key: string; readonly both: string };
  readonly pem: {
    readonly ca: string;
    readonly clients: readonly { readonly cert: string; readonly key: string }[];
  };
  readonly tokens: Tokens;
  /** Writes a file into the folder. */
  file(name: string, text: string): string;
  remove(): void;
}

/** Of one issuer, each of another person. */
export interface Tokens {
  readonly issuer: string;
  readonly audience: string;
  readonly keySet: string;
  readonly keySetFile: string;
  readonly all: readonly string[];
}

const tokenCount = 1_000;
const clientCount = 10;

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
  const server = await write('server', { ...names, usages: ['server'] });
  const clients = [];
  for (let number = 0; number < clientCount; number += 1) {
    const uris = [`spiffe://bench.example/load-${number}`];
    clients.push(await write(`client-${number}`, { uris, usages: ['client'] }));
  }
  const [client = server] = clients;
  return {
    folder,
    ca: file('ca.pem', authority.certPem),
    server,
    client,
    pem: { ca: authority.certPem, clients: clients.map(({ pem }) => pem) },
    tokens: await makeTokens(file),
    file,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function makeTokens(file: Material['file']): Promise<Tokens> {
  const [issuer, audience, kid] = ['https://issuer.bench.example', 'bench', 'bench-1'];
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const keySet = JSON.stringify({
    keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }],
  });
  const sign = (number: number): Promise<string> =>
    new SignJWT({ jti: `token-${number}`, groups: ['agents'] })
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'at+jwt' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(`person-${number}@bench.example`)
      .setIssuedAt()
      .setExpirationTime('12h')
      .sign(privateKey);
  const all = await Promise.all(Array.from({ length: tokenCount }, (_, number) => sign(number)));
  return { issuer, audience, keySet, keySetFile: file('jwks.json', keySet), all };
}
