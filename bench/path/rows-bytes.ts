// Rows of bytes that nobody looks into: TLS to TLS, and the whole tunnel.
import {
  heldPerPiece,
  mebibyte,
  perGigabyte,
  perPiece,
  type Row,
  type Scenario,
  type Target,
} from './rows.ts';
import { envoyBytes } from './systems/envoy.ts';
import { haproxyBytes, haproxyChain } from './systems/haproxy.ts';
import { lockwireBytes, lockwireTunnel } from './systems/lockwire.ts';
import { nginxBytes } from './systems/nginx.ts';

function pingPong(scenario: string, targets: readonly Target[]): Row {
  return {
    name: `${scenario}-ping-pong`,
    title: 'ping-pong, 200 B each way, one connection',
    load: { by: 'load', kind: 'ping-pong', amount: { full: 15_000, short: 2_000 }, warmUp: 2_000 },
    ...perPiece,
    targets,
  };
}

function bulk(scenario: string, kind: 'bulk-up' | 'bulk-down', targets: readonly Target[]): Row {
  return {
    name: `${scenario}-${kind}`,
    title: kind === 'bulk-up' ? 'bulk, to the server' : 'bulk, to the client',
    load: {
      by: 'load',
      kind,
      amount: { full: 768 * mebibyte, short: 64 * mebibyte },
      warmUp: 48 * mebibyte,
    },
    ...perGigabyte,
    targets,
  };
}

const relayBulk: readonly Target[] = [
  { peer: 'haproxy', must: 1.0 },
  { peer: 'envoy', aim: 1.0 },
];
const chain: readonly Target[] = [{ peer: 'haproxy', must: 1.5, aim: 1.0 }];
const systems = { lockwire: lockwireBytes, haproxy: haproxyBytes, nginx: nginxBytes, envoy: envoyBytes };

export const byteScenarios: readonly Scenario[] = [
  {
    name: 'relay',
    title: 'TLS to TLS, opaque: client certificates verified',
    note: 'Lockwire: a gateway with a TCP target. nginx: its stream module. Envoy: tcp_proxy.',
    entry: 'tls-with-certificate',
    systems,
    rows: [
      pingPong('relay', [
        { peer: 'nginx', must: 1.5 },
        { peer: 'haproxy', aim: 1.0 },
      ]),
      bulk('relay', 'bulk-up', relayBulk),
      bulk('relay', 'bulk-down', relayBulk),
      {
        name: 'relay-handshakes',
        title: 'handshake pair: client to proxy, proxy to server, one byte each way',
        load: {
          by: 'load',
          kind: 'handshakes',
          connections: 4,
          amount: { full: 1_500, short: 200 },
          warmUp: 150,
        },
        ...perPiece,
        targets: [
          { peer: 'haproxy', must: 1.2 },
          { peer: 'nginx', aim: 1.0 },
        ],
      },
    ],
  },
  {
    name: 'tunnel',
    title: 'Plain, TLS, TLS, plain: connect, gateway, expose',
    note: 'haproxy: three of them in a row.',
    entry: 'plain',
    systems: { lockwire: lockwireTunnel, haproxy: haproxyChain },
    rows: [pingPong('tunnel', chain), bulk('tunnel', 'bulk-up', chain), bulk('tunnel', 'bulk-down', chain)],
  },
  {
    name: 'idle',
    title: 'Connections that rest, TLS to TLS, opaque; processes made anew for each round',
    entry: 'tls-with-certificate',
    fresh: true,
    systems,
    rows: [
      {
        name: 'idle-pair',
        title: 'memory of an idle pair of connections',
        load: { by: 'load', kind: 'idle', amount: { full: 1_000, short: 150 }, warmUp: 100 },
        ...heldPerPiece,
        targets: [{ mustAtMost: 150, aimAtMost: 74 }],
      },
    ],
  },
];
