// The wire as its users run it: a gateway, an expose and connects, each a process of its own, with a CA and an issuer
// that are nobody's development material.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { makeAuthority } from '../support/transport-certificates.ts';
import { root } from './python-program.ts';

const issuer = 'https://idp.interop.example';
const readyTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;

const policy = `
@id("members")
permit (
  principal in Lockwire::Group::"corp/members",
  action in [
    Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message", Lockwire::Action::"expose"
  ],
  resource in Lockwire::Target::"autogen"
);
`;

/** A `lockwire` process that has said that it is ready. */
interface Program {
  readonly readyLine: string;
  stop(): Promise<void>;
}

export interface Wire {
  /** Starts one more connect; `listen` is what a worker is given. */
  connect(listen: string): Promise<string>;
  /** The same with a CONNECT proxy and no other listener; gives the proxy's address. */
  proxy(listen: string): Promise<string>;
  close(): Promise<void>;
}

/** Gateway and expose before the host at `hostAddress`; files go to `directory`. */
export async function startWire(directory: string, hostAddress: string): Promise<Wire> {
  const file = (name: string): string => join(directory, name);
  const token = await writeMaterial(file);
  const programs: Program[] = [];
  const start = async (args: readonly string[]): Promise<Program> => {
    const program = await startProgram(args);
    programs.unshift(program);
    return program;
  };
  const close = async (): Promise<void> => {
    for (const program of programs) await program.stop();
  };
  try {
    const gateway = await start(['gateway', '--config', file('gateway.json')]);
    const port = /127\.0\.0\.1:(\d+)/.exec(gateway.readyLine)?.[1] ?? '';
    const common = ['--gateway', `localhost:${port}`, '--target', 'autogen', '--ca', file('ca.pem')];
    let sides = 0;
    const side = async (role: string, flag: string, address: string): Promise<Program> => {
      sides += 1;
      const tokenFile = file(`${role}-${sides}.jwt`);
      await writeFile(tokenFile, await token(`${role}-${sides}`), { mode: 0o600 });
      const key = file(`${role}-${sides}.key`);
      const own = ['--token-file', tokenFile, '--instance-key-file', key, flag, address];
      return await start([role, ...common, ...own]);
    };
    await side('expose', '--to', hostAddress);
    return {
      connect: async listen => {
        const { readyLine } = await side('connect', '--listen', listen);
        return / ready on ([^,]+),/.exec(readyLine)?.[1] ?? listen;
      },
      proxy: async listen => {
        const { readyLine } = await side('connect', '--proxy', listen);
        return / CONNECT proxy on (\S+)$/.exec(readyLine)?.[1] ?? listen;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Writes certificates, keys, policy and config; gives what signs tokens. */
async function writeMaterial(file: (name: string) => string): Promise<(subject: string) => Promise<string>> {
  const ca = await makeAuthority({ name: 'Interop CA' });
  const { certPem, keyPem } = await ca.issue({ dns: ['localhost'], ips: ['127.0.0.1'], usages: ['server'] });
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] };
  await writeFile(file('ca.pem'), ca.certPem);
  await writeFile(file('gateway.pem'), certPem);
  await writeFile(file('gateway-tls.key'), keyPem, { mode: 0o600 });
  await writeFile(file('jwks.json'), JSON.stringify(jwks));
  await writeFile(file('policy.cedar'), policy);
  await writeFile(
    file('gateway.json'),
    JSON.stringify({
      listeners: [
        { name: 'public', bind: '127.0.0.1:0', tls: { cert: 'gateway.pem', key: 'gateway-tls.key' } },
      ],
      identity: {
        issuers: [
          {
            name: 'corp',
            issuer,
            audience: 'lockwire',
            token: 'access',
            groups: 'groups',
            jwks: 'jwks.json',
          },
        ],
      },
      targets: [{ name: 'autogen', dialect: 'autogen-rpc', via: 'tunnel' }],
      policy: { files: ['policy.cedar'] },
      store: { kind: 'embedded', path: './data' },
    }),
  );
  return subject =>
    new SignJWT({ groups: ['members'] })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'at+jwt' })
      .setIssuer(issuer)
      .setAudience('lockwire')
      .setSubject(subject)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
}

async function startProgram(args: readonly string[]): Promise<Program> {
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(process.execPath, ['--disable-sigusr1', join(root, 'lib/cli/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH, HOME, TMPDIR },
  });
  let complaint = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    complaint = (complaint + text).slice(-20_000);
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const readyLine = await firstLine(child, exited, () => `lockwire ${args[0]}: ${complaint}`);
  return { readyLine, stop: () => stop(child, exited) };
}

function firstLine(child: ChildProcess, exited: Promise<number | null>, what: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`not ready within ${readyTimeoutMs} ms: ${what()}`));
    }, readyTimeoutMs);
    void exited.then(code => {
      clearTimeout(timer);
      reject(new Error(`exit ${code}: ${what()}`));
    });
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).once('line', line => {
      clearTimeout(timer);
      resolve(line);
    });
  });
}

/** Drains; where that takes too long, ends. */
async function stop(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  const code = await exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`a lockwire process ended with ${code} where 0 was due`);
}
