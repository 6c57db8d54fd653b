import type { LoadedClientConfig } from './config/client.ts';
import { type RunningSide, settled } from './connect.ts';
import { formatAddress } from './core/address.ts';
import { BufferedStream } from './core/buffered-stream.ts';
import { messageOf } from './core/errors.ts';
import { BypassWatch } from './expose-bypass.ts';
import { LocalLegs } from './local-leg.ts';
import { type SideAdmin, startSideAdmin } from './side-admin.ts';
import { hostOutOfReach } from './stream-refusals.ts';
import { dialLocal } from './transport/local.ts';
import { InstanceKeeper } from './tunnel/instances.ts';
import type { TunnelStream } from './tunnel/stream.ts';
import { makeTunnelSide, type SidePorts, stoppingLeg } from './tunnel-side.ts';

/** `lockwire expose`: each stream that the gateway opens becomes a connection to `--to`, and to nothing else. */
export async function startExpose(config: LoadedClientConfig, ports: SidePorts): Promise<RunningSide> {
  const { clock, log } = ports;
  const legs = new LocalLegs(clock, log);
  const address = formatAddress(config.local);
  const bypass = new BypassWatch({ to: config.local, required: config.requireNoBypass }, ports);
  // Before anything is served.
  await bypass.start();

  async function serve(stream: TunnelStream): Promise<void> {
    try {
      const carrier = await dialLocal(config.local, { clock });
      bypass.reached();
      stream.accept();
      legs.join(stream, new BufferedStream(carrier), `stream-${stream.id}`, config.target, address);
    } catch (error) {
      log.warn({ target: config.target, to: address, detail: messageOf(error) }, 'host cannot be reached');
      stream.reset({ code: 'unavailable', text: `${hostOutOfReach}: ${messageOf(error)}` });
    }
  }

  const { tunnels, status, firstSession, reload, release } = makeTunnelSide(
    config,
    ports,
    (stream, request) => {
      // The role binds an expose to its one target; a gateway that asks for another is confused or worse.
      if (request.target === config.target) void serve(stream);
      else stream.reset({ code: 'unknown-target', text: `this expose serves ${config.target}` });
    },
    makeClient => new InstanceKeeper({ clock, log, makeClient }),
  );
  ports.metrics?.gauge(
    'lockwire_instances',
    'Gateway processes behind the address, as they say: each should have a tunnel.',
    () => tunnels.count.instances,
  );
  let admin: SideAdmin | undefined;
  try {
    admin = await startSideAdmin(config.admin, status, ports);
    const { welcome } = await firstSession();
    return {
      address,
      bypass: bypass.beyond,
      failed: bypass.forbidden,
      gateways: () => tunnels.count,
      ...(admin.address === undefined ? {} : { admin: admin.address }),
      session: welcome.session,
      principal: welcome.principal,
      reload,
      drain: async () => {
        bypass.stop();
        await admin?.close();
        tunnels.stop(stoppingLeg, true);
        await settled(() => legs.count, config.drainTimeoutMs, ports);
        release();
      },
      stop: async () => {
        bypass.stop();
        await admin?.close();
        legs.closeAll(stoppingLeg);
        tunnels.stop(stoppingLeg, false);
        release();
      },
    };
  } catch (error) {
    bypass.stop();
    await admin?.close();
    tunnels.stop(stoppingLeg, false);
    release();
    throw error;
  }
}
