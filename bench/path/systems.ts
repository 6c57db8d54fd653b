// The systems under test: Lockwire as its users run it, and haproxy doing the same work.
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type Material, serverName } from './material.ts';
import type { BackendPorts } from './messages.ts';
import { Program } from './program.ts';

/** What a load can be sent through. */
export interface System {
  readonly name: string;
  /** Where the load connects to. */
  readonly port: number;
  readonly programs: readonly Program[];
}

export interface Surroundings {
  readonly material: Material;
  readonly backend: BackendPorts;
}

const root = join(import.meta.dirname, '..', '..');
const main = ['--disable-sigusr1', join(root, 'lib', 'cli', 'main.ts')];

/** TLS in, TLS out: the gateway with a target of protocol tcp. */
export async function lockwireRelay(around: Surroundings): Promise<System> {
  const { program, port } = await gateway('relay', around, {
    name: 'relay',
    protocol: 'tcp',
    serverNames: [serverName],
    dial: `tls://127.0.0.1:${around.backend.tls}`,
    serverName,
    ca: around.material.ca,
  });
  return { name: 'lockwire', port, programs: [program] };
}

/** Plain, TLS, TLS, plain: connect, gateway and expose. */
export async function lockwireTunnel(around: Surroundings): Promise<System> {
  const { program, port } = await gateway('tunnel', around, {
    name: 'relay',
    protocol: 'tcp',
    via: 'tunnel',
  });
  const { material, backend } = around;
  const side = (name: 'connect' | 'expose', args: string[]): Program =>
    new Program(
      `lockwire ${name}`,
      process.execPath,
      [
        ...[...main, name, '--gateway', `127.0.0.1:${port}`, '--target', 'relay', '--ca', material.ca],
        ...['--server-name', serverName, '--cert', material.client.cert, '--key', material.client.key],
        ...['--instance-key-file', join(material.folder, `${name}.key`), '--log-level', 'warn', ...args],
      ],
      material.folder,
    );
  const expose = side('expose', ['--to', `127.0.0.1:${backend.plain}`]);
  await expose.ready(/expose ready/);
  const connect = side('connect', ['--listen', '127.0.0.1:0']);
  const [, bound] = await connect.ready(/connect ready on \S+:(\d+)/);
  return { name: 'lockwire', port: Number(bound), programs: [connect, program, expose] };
}

async function gateway(
  name: string,
  { material }: Surroundings,
  target: object,
): Promise<{ program: Program; port: number }> {
  const policy = material.file(
    `${name}.cedar`,
    '@id("bench") permit (principal is Lockwire::Workload, action in [Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"expose"], resource);\n',
  );
  const store = join(material.folder, `${name}-data`);
  mkdirSync(store, { recursive: true, mode: 0o700 });
  const { cert, key } = material.server;
  const config = {
    listeners: [
      {
        name: 'public',
        bind: '127.0.0.1:0',
        tls: { cert, key, clientCertificates: 'required' },
        maxUnfinished: 4096,
        maxUnfinishedPerSource: 4096,
      },
    ],
    identity: { certificates: [{ name: 'bench', ca: material.ca }] },
    targets: [target],
    policy: { files: [policy] },
    store: { kind: 'embedded', path: store },
    admin: { socket: join(store, 'admin.sock') },
  };
  const file = material.file(`${name}.json`, JSON.stringify(config));
  const program = new Program(
    'lockwire gateway',
    process.execPath,
    [...main, 'gateway', '--config', file],
    material.folder,
  );
  const [, port] = await program.ready(/gateway ready on public \S+?:(\d+)/);
  return { program, port: Number(port) };
}

const haproxyDefaults = `global
  nbthread 1
  maxconn 4000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m
`;

/** TLS in with client certificates verified, TLS out with the server verified. */
export async function haproxyRelay(around: Surroundings): Promise<System> {
  const port = await freePort();
  const hop = await haproxy('relay', around.material, [
    { bind: port, to: around.backend.tls, tlsIn: true, tlsOut: true },
  ]);
  return { name: 'haproxy', port, programs: hop };
}

/** Three of them in a row: plain to TLS, TLS to TLS, TLS to plain. */
export async function haproxyChain(around: Surroundings): Promise<System> {
  const [first, second, third] = [await freePort(), await freePort(), await freePort()];
  const programs = await haproxy('chain', around.material, [
    { bind: first, to: second, tlsIn: false, tlsOut: true },
    { bind: second, to: third, tlsIn: true, tlsOut: true },
    { bind: third, to: around.backend.plain, tlsIn: true, tlsOut: false },
  ]);
  return { name: 'three haproxies', port: first, programs };
}

interface Hop {
  readonly bind: number;
  readonly to: number;
  readonly tlsIn: boolean;
  readonly tlsOut: boolean;
}

async function haproxy(name: string, material: Material, hops: readonly Hop[]): Promise<Program[]> {
  const programs = hops.map((hop, index) => {
    const accept = hop.tlsIn ? ` ssl crt ${material.server.both} ca-file ${material.ca} verify required` : '';
    const dial = hop.tlsOut
      ? ` ssl crt ${material.client.both} ca-file ${material.ca} verify required sni str(${serverName}) verifyhost ${serverName}`
      : '';
    const config = `${haproxyDefaults}listen hop
  bind 127.0.0.1:${hop.bind}${accept}
  server next 127.0.0.1:${hop.to}${dial}
`;
    const file = material.file(`haproxy-${name}-${index}.cfg`, config);
    return new Program(`haproxy ${index + 1}`, 'haproxy', ['-db', '-f', file], material.folder);
  });
  for (const [index, hop] of hops.entries()) await untilListening(hop.bind, programs[index]);
  return programs;
}

/** haproxy says nothing when it is ready. */
async function untilListening(port: number, program: Program | undefined): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise(resolve => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    if (!program?.alive || performance.now() > deadline) {
      throw new Error(`haproxy does not listen on ${port}:\n${program?.output}`);
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** haproxy cannot be asked which port it got: one that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise(resolve => server.close(resolve));
  return port;
}
