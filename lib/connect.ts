import type { LoadedClientConfig } from './config/client.ts';
import { ConnectProxyDoor } from './connect-proxy.ts';
import { formatAddress, type LocalAddress } from './core/address.ts';
import { BufferedStream } from './core/buffered-stream.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type { Carrier } from './core/ports.ts';
import { admittedUsers, LocalAdmission } from './local-admission.ts';
import { LocalLegs } from './local-leg.ts';
import { type SideAdmin, startSideAdmin } from './side-admin.ts';
import { type LocalListener, type LocalPeer, listenLocal } from './transport/local.ts';
import type { InstanceCount } from './tunnel/instances.ts';
import { makeTunnelSide, type SidePorts, stoppingLeg } from './tunnel-side.ts';
import type { Ingress } from './wire/tunnel/frames.ts';

export interface RunningSide {
  /** Where `connect` listens, or what `expose` dials. */
  readonly address: string;
  /** Where `connect`'s CONNECT proxy listens. */
  readonly proxy?: string;
  /** Addresses beyond loopback on which `expose`'s host was bound at start: ways past Lockwire. */
  readonly bypass?: readonly string[];
  /** Resolves where it must not go on. */
  readonly failed?: Promise<Error>;
  /** Of `expose`: to how many gateway processes it has a tunnel, and how many there are. */
  readonly gateways?: () => InstanceCount;
  /** Where its health and metrics are. */
  readonly admin?: string;
  /** The session with the gateway, once there is one. */
  readonly session: string;
  readonly principal: string;
  /** Reads token and certificates anew. */
  reload(cause: string): void;
  /** Ends when its streams have, or at once. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** How long a local connection waits for a session with the gateway. */
const sessionWaitMs = 10_000;

/**
 * `lockwire connect`: each local connection becomes a stream to the target. Resolves with the first session; rejects
 * where that is refused, or the local address cannot be had.
 */
export async function startConnect(config: LoadedClientConfig, ports: SidePorts): Promise<RunningSide> {
  const { clock, log } = ports;
  const legs = new LocalLegs(clock, log);
  const places = [config.local, ...(config.connectProxy ? [config.connectProxy.address] : [])];
  const users = places.some(({ kind }) => kind === 'tcp')
    ? await admittedUsers(config.allowUsers, log)
    : undefined;
  const admission = new LocalAdmission(users, ports);
  const {
    tunnels: client,
    status,
    firstSession,
    reload,
    release,
  } = makeTunnelSide(
    config,
    ports,
    stream => stream.reset({ code: 'denied', text: 'a connect takes no streams' }),
    makeClient => makeClient(),
  );

  const proxy = new ConnectProxyDoor({
    clock,
    log,
    hosts: config.connectProxy?.hosts ?? [],
    session: () => client.session(sessionWaitMs),
    join: (local, session, opened) => {
      const stream = session.open(config.target, 'proxy');
      opened();
      legs.join(local, stream, session.facts.id, config.target, `tunnel:${session.facts.id}`);
    },
  });

  async function enter(carrier: Carrier, from: LocalPeer, through: 'port' | 'proxy'): Promise<void> {
    // Nothing of it is read before its user is known.
    if (!(await admission.admits(from))) carrier.destroy(true);
    else if (through === 'proxy') await proxy.enter(carrier);
    else await carry(carrier, from.ingress);
  }

  async function carry(carrier: Carrier, ingress: Ingress): Promise<void> {
    const local = new BufferedStream(carrier);
    try {
      const session = await client.session(sessionWaitMs);
      const stream = session.open(config.target, ingress);
      legs.join(local, stream, session.facts.id, config.target, `tunnel:${session.facts.id}`);
    } catch (error) {
      const code = error instanceof LockwireError && error.code === 'limit' ? 'limit' : 'unavailable';
      log.warn({ target: config.target, reason: code, detail: messageOf(error) }, 'local connection refused');
      local.start({ data() {}, end() {}, flushed() {}, closed() {} });
      local.reset({ code, text: messageOf(error) });
    }
  }

  const listeners: LocalListener[] = [];
  const listen = async (through: 'port' | 'proxy', address: LocalAddress): Promise<string> => {
    const listener = await listenLocal(address, (carrier, from) => void enter(carrier, from, through));
    listeners.push(listener);
    return formatAddress(listener.address);
  };
  let admin: SideAdmin | undefined;
  const close = async (): Promise<void> => {
    await admin?.close();
    for (const listener of listeners) await listener.close();
  };
  try {
    // Before the gateway is asked: an address that is taken should be said at once.
    const asked = config.connectProxy;
    const port = asked?.alone ? undefined : await listen('port', config.local);
    const proxyAddress = asked && (await listen('proxy', asked.address));
    admin = await startSideAdmin(config.admin, status, ports);
    const { welcome } = await firstSession();
    return {
      address: port ?? proxyAddress ?? formatAddress(config.local),
      ...(proxyAddress === undefined ? {} : { proxy: proxyAddress }),
      ...(admin.address === undefined ? {} : { admin: admin.address }),
      session: welcome.session,
      principal: welcome.principal,
      reload,
      drain: async () => {
        await close();
        client.stop(stoppingLeg, true);
        await settled(() => legs.count, config.drainTimeoutMs, ports);
        release();
      },
      stop: async () => {
        await close();
        legs.closeAll(stoppingLeg);
        client.stop(stoppingLeg, false);
        release();
      },
    };
  } catch (error) {
    await close();
    client.stop(stoppingLeg, false);
    release();
    throw error;
  }
}

/** Until nothing is counted any more, or the time is over. */
export async function settled(count: () => number, atMostMs: number, { clock }: SidePorts): Promise<void> {
  const deadline = clock.monotonic() + atMostMs;
  while (count() > 0 && clock.monotonic() < deadline) {
    await new Promise<void>(resolve => void clock.after(50, resolve));
  }
}
