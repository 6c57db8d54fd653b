// Lockwire before the suites' servers: one gateway, and for each server a connect and an expose, all real processes.
// Each server is a target twice: one that the gateway dials for its direct clients, one behind the tunnel.
import { join } from 'node:path';
import type { World } from '../support/e2e-world.ts';
import type { Implementation, InteropTarget } from './grpc.ts';
import type { H2specTarget } from './h2spec.ts';
import type { Server } from './program.ts';

export type ServerName = Implementation | 'h2spec';

const serverNames: readonly ServerName[] = ['Go', 'C-core', 'h2spec'];

export interface Wire {
  /** The gateway's port, with a token in each call. */
  straight(server: Implementation): InteropTarget;
  /** The gateway's port for h2spec, which knows no tokens: with a client certificate, or as nobody. */
  straightH2spec(identity: 'certificate' | 'none'): H2specTarget;
  /** Where the connect of each server listens. */
  tunnel(server: ServerName): string;
}

/** h2spec dials the name that it asks for. */
const authorities: Readonly<Record<ServerName, string>> = {
  Go: 'go.example',
  'C-core': 'core.example',
  h2spec: 'localhost',
};

const policy = `
@id("agents")
permit (
  principal in Lockwire::Group::"corp/agents",
  action in [Lockwire::Action::"connect", Lockwire::Action::"call"],
  resource
);
@id("h2spec")
permit (
  principal == Lockwire::Workload::"suites|h2spec.example",
  action in [Lockwire::Action::"connect", Lockwire::Action::"call"],
  resource == Lockwire::Target::"h2spec"
);
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
`;

export async function startWire(
  world: World,
  serverOf: (name: ServerName) => Promise<Server>,
): Promise<Wire> {
  const client = await world.authority.issue({ dns: ['h2spec.example'], usages: ['client'] });
  const cert = world.file('h2spec-client.pem', client.certPem);
  const key = world.file('h2spec-client.key', client.keyPem);
  const token = await world.token({ sub: 'interop', groups: ['agents'] });
  const tokenFile = world.file('interop.jwt', token);
  const { port } = await startGateway(world, serverOf);
  const addresses = new Map<ServerName, string>();
  for (const name of serverNames) {
    const { plain } = await serverOf(name);
    await world.expose({ port }, { target: tunnelled(name), to: plain });
    const { address } = await world.connect({ port }, { target: tunnelled(name) });
    addresses.set(name, address);
  }
  return {
    straight: server => ({
      address: `127.0.0.1:${port}`,
      tls: { ca: join(world.directory, 'ca.pem'), serverName: authorities[server], tokenFile, token },
    }),
    straightH2spec: identity => ({
      host: authorities.h2spec,
      port,
      tls: identity === 'certificate' ? { cert, key } : {},
    }),
    tunnel: server => addresses.get(server) ?? '',
  };
}

async function startGateway(
  world: World,
  serverOf: (name: ServerName) => Promise<Server>,
): Promise<{ readonly port: number }> {
  const { certPem, keyPem } = await world.authority.issue({
    dns: ['gateway.example', ...Object.values(authorities)],
    ips: ['127.0.0.1'],
    usages: ['server'],
  });
  world.file('port.pem', certPem);
  world.file('port.key', keyPem);
  const targets: object[] = [];
  for (const name of serverNames) {
    // Shared and own connections to a server are two ways through the relay: the suites see both.
    const protocol = name === 'h2spec' ? 'http2' : 'grpc';
    const { tls } = await serverOf(name);
    const dialled = { dial: `tls://${tls}`, ca: 'ca.pem', serverName: 'backend.example' };
    targets.push(
      { name: direct(name), protocol, hosts: [authorities[name]], upstream: 'shared', ...dialled },
      { name: tunnelled(name), protocol, via: 'tunnel', upstream: 'own' },
    );
  }
  return await world.gateway({
    targets,
    policy,
    tls: { cert: 'port.pem', key: 'port.key', clientCertificates: 'optional' },
    certificates: [{ name: 'suites', ca: 'ca.pem' }],
  });
}

function direct(name: ServerName): string {
  return name.toLowerCase();
}

function tunnelled(name: ServerName): string {
  return `${direct(name)}-tunnel`;
}
