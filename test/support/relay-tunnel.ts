import { randomBytes } from 'node:crypto';
import { systemClock } from '../../lib/core/clock.ts';
import type { Carrier } from '../../lib/core/ports.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { dialTunnel } from '../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import { identity, makeInstanceKey } from './tunnel-pair.ts';

/** Both ends of a tunnel session over two joined carriers; `open` gives both ends of a new stream of it. */
export async function tunnelOver(
  carriers: { readonly left: Carrier; readonly right: Carrier },
  overrides: Partial<TunnelLimits> = {},
): Promise<() => Promise<{ left: TunnelStream; right: TunnelStream }>> {
  const limits = { ...defaultTunnelLimits, ...overrides };
  const exporter = randomBytes(32);
  let taken: (stream: TunnelStream) => void = () => {};
  const ports = (): SessionPorts => ({
    clock: systemClock,
    limits,
    pool: new WindowPool(),
    onOpen: stream => {
      stream.accept();
      taken(stream);
    },
    onNotice() {},
    onGoAway() {},
    onRenew: () => Promise.reject(new Error('not here')),
    onRenewed() {},
    onDetached() {},
    onClosed() {},
  });
  const hello = {
    role: 'connect',
    target: '',
    token: 'a.b.c',
    instanceKey: makeInstanceKey(),
    exporter,
    certificateIssuer: 'CN=Test',
    software: 'test',
  } as const;
  const welcome = { session: 's1', gatewayKey: makeInstanceKey(), instance: 'g1', instances: 1, exporter };
  const clock = systemClock;
  const [dialled] = await Promise.all([
    dialTunnel(carriers.left, hello, ports()),
    acceptTunnel(carriers.right, welcome, async () => identity, { clock, limits }, ports),
  ]);
  return async () => {
    const opened = Promise.withResolvers<void>();
    const accepted = new Promise<TunnelStream>(resolve => {
      taken = resolve;
    });
    const left = dialled.session.open('legacy', 'loopback', opened.resolve);
    const [right] = await Promise.all([accepted, opened.promise]);
    return { left, right };
  };
}
