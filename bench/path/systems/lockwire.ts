// Lockwire as its users run it: the command line's own processes, with policy, metrics and log on.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startHost, startWorkers } from '../autogen.ts';
import { type Material, serverName } from '../material.ts';
import { Program } from '../program.ts';
import type { Credential, Surroundings, System } from './system.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const main = ['--disable-sigusr1', join(root, 'lib', 'cli', 'main.ts')];

/** TLS in, TLS out: the gateway with a target of protocol tcp. */
export async function lockwireBytes(around: Surroundings): Promise<System> {
  const { material, backend } = around;
  return gateway('bytes', material, 'certificate', {
    protocol: 'tcp',
    serverNames: [serverName],
    ...dials(material, backend.tls),
  });
}

/** Each call is identified, judged by policy, and forwarded to one service; the upstream connection is shared. */
export async function lockwireHttp2(around: Surroundings, credential: Credential): Promise<System> {
  const { material, backend } = around;
  return gateway('http2', material, credential, {
    protocol: 'grpc',
    hosts: [serverName],
    ...dials(material, backend.http2),
  });
}

/** Plain, TLS, TLS, plain: connect, gateway and expose. */
export async function lockwireTunnel({ material, backend }: Surroundings): Promise<System> {
  return tunnel('tunnel', material, { protocol: 'tcp' }, backend.plain);
}

/** The same before AutoGen's own host, with each message judged; both workers come through the connect. */
export async function lockwireAutogen({ material }: Surroundings): Promise<System> {
  const host = await startHost(material);
  const system = await tunnel('autogen', material, { dialect: 'autogen-rpc' }, host);
  return { ...system, caller: await startWorkers(material, system.port) };
}

async function tunnel(name: string, material: Material, target: object, to: number): Promise<System> {
  const { port, programs } = await gateway(name, material, 'certificate', { ...target, via: 'tunnel' });
  const side = (role: 'connect' | 'expose', args: string[]): Program =>
    new Program(
      `lockwire ${role}`,
      process.execPath,
      [
        ...[...main, role, '--gateway', `127.0.0.1:${port}`, '--target', 'bench', '--ca', material.ca],
        ...['--server-name', serverName, '--cert', material.client.cert, '--key', material.client.key],
        ...[
          '--instance-key-file',
          join(material.folder, `${name}-${role}.key`),
          '--log-level',
          'warn',
          ...args,
        ],
      ],
      material.folder,
    );
  const expose = side('expose', ['--to', `127.0.0.1:${to}`]);
  await expose.ready(/expose ready/);
  const connect = side('connect', ['--listen', '127.0.0.1:0']);
  const [, bound] = await connect.ready(/connect ready on \S+:(\d+)/);
  return { port: Number(bound), programs: [connect, ...programs, expose] };
}

function dials(material: Material, port: number): object {
  return { dial: `tls://127.0.0.1:${port}`, serverName, ca: material.ca };
}

const policy = `@id("bench-streams")
permit (principal, action in [Lockwire::Action::"connect", Lockwire::Action::"expose"], resource);

@id("bench-calls")
permit (principal, action == Lockwire::Action::"call", resource == Lockwire::Target::"bench")
when {
  context.method == "POST" && (context.path like "/bench.Echo/*" || context.path like "/agents.AgentRpc/*")
};

@id("bench-messages")
permit (principal, action == Lockwire::Action::"message", resource in Lockwire::Target::"bench");
`;

async function gateway(
  name: string,
  material: Material,
  credential: Credential,
  target: object,
): Promise<System> {
  const store = join(material.folder, `${name}-${credential}-data`);
  mkdirSync(store, { recursive: true, mode: 0o700 });
  const { cert, key } = material.server;
  const { issuer, audience, keySetFile } = material.tokens;
  const certificates = credential === 'certificate';
  const config = {
    listeners: [
      {
        name: 'public',
        bind: '127.0.0.1:0',
        tls: { cert, key, clientCertificates: certificates ? 'required' : 'none' },
        maxUnfinished: 4096,
        maxUnfinishedPerSource: 4096,
      },
    ],
    identity: certificates
      ? { certificates: [{ name: 'bench', ca: material.ca }] }
      : { issuers: [{ name: 'bench', issuer, audience, jwks: keySetFile, groups: 'groups' }] },
    targets: [{ name: 'bench', ...target }],
    policy: { files: [material.file(`${name}.cedar`, policy)] },
    store: { kind: 'embedded', path: store },
    admin: { socket: join(store, 'admin.sock'), bind: '127.0.0.1:0' },
  };
  const file = material.file(`${name}-${credential}.json`, JSON.stringify(config));
  const program = new Program(
    'lockwire gateway',
    process.execPath,
    [...main, 'gateway', '--config', file],
    material.folder,
  );
  const [, port] = await program.ready(/gateway ready on public \S+?:(\d+)/);
  return { port: Number(port), programs: [program] };
}
