// Lockwire before the suites' servers: one gateway, and for each server a connect and an expose, all real processes.
import type { World } from '../support/e2e-world.ts';
import type { Implementation } from './grpc.ts';
import type { Server } from './program.ts';

export type ServerName = Implementation | 'h2spec';

const serverNames: readonly ServerName[] = ['Go', 'C-core', 'h2spec'];

export interface Wire {
  /** Where the connect of each server listens. */
  readonly tunnel: Readonly<Record<ServerName, string>>;
}

const policy = `
@id("agents")
permit (principal in Lockwire::Group::"corp/agents", action == Lockwire::Action::"connect", resource);
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
`;

export async function startWire(
  world: World,
  serverOf: (name: ServerName) => Promise<Server>,
): Promise<Wire> {
  const targets = serverNames.map(name => ({ name: targetOf(name), dialect: 'autogen-rpc', via: 'tunnel' }));
  const gateway = await world.gateway({ targets, policy });
  const ways = await Promise.all(
    serverNames.map(async name => {
      const { plain } = await serverOf(name);
      await world.expose(gateway, { target: targetOf(name), to: plain });
      const { address } = await world.connect(gateway, { target: targetOf(name) });
      return [name, address] as const;
    }),
  );
  return { tunnel: Object.fromEntries(ways) as Record<ServerName, string> };
}

function targetOf(name: ServerName): string {
  return name.toLowerCase();
}
