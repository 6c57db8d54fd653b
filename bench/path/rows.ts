// What is measured, through what, and how much of the peer's price it may cost.
import type { LoadKind } from './messages.ts';
import {
  haproxyChain,
  haproxyRelay,
  lockwireRelay,
  lockwireTunnel,
  type Surroundings,
  type System,
} from './systems.ts';

/** Systems that stand side by side before the same backend: Lockwire first, then its peer. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Whether the load speaks TLS with a client certificate. */
  readonly tls: boolean;
  /** Memory that was once used is not given back: growth is seen in a process that is new. */
  readonly fresh?: boolean;
  readonly make: (around: Surroundings) => Promise<readonly [System, System]>;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly name: string;
  readonly title: string;
  readonly kind: LoadKind;
  readonly unit: string;
  /** What `unit` counts: processor seconds (or bytes, for `idle`) per piece of work, times this. */
  readonly scale: number;
  readonly amount: { readonly full: number; readonly short: number };
  readonly warmUp: number;
  readonly concurrency?: number;
  /** Lockwire's price over the peer's. */
  readonly must?: number;
  readonly aim?: number;
  /** In the row's unit. */
  readonly mustAtMost?: number;
  readonly aimAtMost?: number;
}

const mebibyte = 1024 * 1024;
const perGigabyte = 1e9;
const micro = 1e6;

type Targets = Pick<Row, 'must' | 'aim'>;

function pingPong(scenario: string, targets: Targets): Row {
  return {
    name: `${scenario}-ping-pong`,
    title: 'ping-pong, 200 B each way, one connection',
    kind: 'ping-pong',
    unit: 'µs',
    scale: micro,
    amount: { full: 20_000, short: 3_000 },
    warmUp: 2_000,
    ...targets,
  };
}

function bulk(scenario: string, kind: 'bulk-up' | 'bulk-down', targets: Targets): Row {
  return {
    name: `${scenario}-${kind}`,
    title: kind === 'bulk-up' ? 'bulk, to the server' : 'bulk, to the client',
    kind,
    unit: 's/GB',
    scale: perGigabyte,
    amount: { full: 1024 * mebibyte, short: 128 * mebibyte },
    warmUp: 48 * mebibyte,
    ...targets,
  };
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'relay',
    title: 'TLS to TLS, opaque: the gateway with a TCP target, client certificates verified',
    tls: true,
    make: async around => [await lockwireRelay(around), await haproxyRelay(around)],
    rows: [
      pingPong('relay', { must: 1.5, aim: 1.0 }),
      bulk('relay', 'bulk-up', { must: 1.0, aim: 0.7 }),
      bulk('relay', 'bulk-down', { must: 1.0, aim: 0.7 }),
      {
        name: 'relay-handshakes',
        title: 'handshake pair: client to proxy, proxy to server, one byte each way',
        kind: 'handshakes',
        unit: 'µs',
        scale: micro,
        amount: { full: 2_000, short: 250 },
        warmUp: 200,
        concurrency: 4,
        must: 1.2,
        aim: 1.0,
      },
    ],
  },
  {
    name: 'tunnel',
    title: 'Plain, TLS, TLS, plain: connect, gateway, expose; beside three haproxies in a row',
    tls: false,
    make: async around => [await lockwireTunnel(around), await haproxyChain(around)],
    rows: [
      pingPong('tunnel', { must: 1.5, aim: 1.0 }),
      bulk('tunnel', 'bulk-up', { must: 1.5, aim: 1.0 }),
      bulk('tunnel', 'bulk-down', { must: 1.5, aim: 1.0 }),
    ],
  },
  {
    name: 'idle',
    title: 'Connections that rest, TLS to TLS; processes made anew for each round',
    tls: true,
    fresh: true,
    make: async around => [await lockwireRelay(around), await haproxyRelay(around)],
    rows: [
      {
        name: 'idle-pair',
        title: 'memory of an idle pair of connections',
        kind: 'idle',
        unit: 'KiB',
        scale: 1 / 1024,
        amount: { full: 1_000, short: 400 },
        warmUp: 100,
        mustAtMost: 150,
        aimAtMost: 74,
      },
    ],
  },
];
