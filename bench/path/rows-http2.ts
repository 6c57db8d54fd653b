// Rows of HTTP/2 in the shape of gRPC: TLS and HTTP/2 on both legs.
import {
  heldPerPiece,
  mebibyte,
  perGigabyte,
  perPiece,
  type Row,
  type RowLoad,
  type Scenario,
  type Target,
} from './rows.ts';
import { envoyHttp2 } from './systems/envoy.ts';
import { haproxyHttp2 } from './systems/haproxy.ts';
import { lockwireHttp2 } from './systems/lockwire.ts';
import { nghttpx } from './systems/nghttpx.ts';
import { nginxHttp2 } from './systems/nginx.ts';
import { nodeHttp2 } from './systems/node-http2.ts';

const systems: Scenario['systems'] = {
  lockwire: around => lockwireHttp2(around, 'certificate'),
  haproxy: haproxyHttp2,
  nginx: nginxHttp2,
  nghttpx: around => nghttpx(around, 'certificate'),
  envoy: around => envoyHttp2(around, 'certificate'),
  'node:http2': nodeHttp2,
};

type OwnLoad = Omit<Extract<RowLoad, { by: 'load' }>, 'by'>;

function row(name: string, title: string, load: OwnLoad, targets: readonly Target[]): Row {
  const unit = load.kind.startsWith('h2-bulk') ? perGigabyte : perPiece;
  return { name, title, load: { by: 'load', ...load }, ...unit, targets };
}

function calls(
  connections: number,
  depth: number,
  amount: OwnLoad['amount'],
  targets: readonly Target[],
): Row {
  const load: OwnLoad = {
    kind: 'h2-unary',
    connections,
    depth,
    messageBytes: 100,
    amount,
    warmUp: Math.round(amount.full / 10),
  };
  const shape = connections === 1 ? 'one at a time' : `${connections} connections × ${depth} calls`;
  return row(`unary-${connections}x${depth}`, `unary calls, 100 B each way, ${shape}`, load, targets);
}

const shared: readonly Target[] = [{ peer: 'haproxy', must: 1.25, aim: 0.9 }];
const bulk: readonly Target[] = [
  { peer: 'nginx', must: 1.1 },
  { peer: 'haproxy', must: 0.6 },
  { peer: 'envoy', aim: 1.0 },
];

const callRows: readonly Row[] = [
  calls(4, 32, { full: 80_000, short: 15_000 }, [
    { peer: 'envoy', must: 0.3 },
    { peer: 'nginx', must: 0.25 },
    { peer: 'haproxy', must: 1.0, aim: 0.6 },
    { peer: 'nghttpx', must: 1.0, aim: 0.6 },
  ]),
  calls(4, 4, { full: 50_000 }, shared),
  calls(64, 1, { full: 40_000, short: 8_000 }, shared),
  calls(1, 1, { full: 10_000, short: 1_500 }, [
    { peer: 'nginx', must: 1.15, aim: 1.0 },
    { peer: 'envoy', must: 0.65 },
  ]),
];

function talk(depth: number, amount: OwnLoad['amount'], targets: readonly Target[]): Row {
  const name = depth === 1 ? 'bidi-ping-pong' : `bidi-depth-${depth}`;
  const title = `one bidirectional stream, 200 B messages, ${depth === 1 ? 'ping-pong' : `${depth} on the way`}`;
  return row(name, title, { kind: 'h2-ping-pong', depth, amount, warmUp: amount.full / 10 }, targets);
}

const streamRows: readonly Row[] = [
  talk(1, { full: 10_000, short: 1_500 }, [
    { peer: 'nginx', must: 1.25, aim: 1.0 },
    { peer: 'envoy', must: 1.1, aim: 1.0 },
  ]),
  talk(32, { full: 200_000 }, [
    { peer: 'envoy', must: 1.0 },
    { peer: 'nginx', aim: 1.0 },
  ]),
  row(
    'flood-1k',
    'one-way flood, 1 KiB messages',
    { kind: 'h2-flood', amount: { full: 300_000, short: 40_000 }, warmUp: 50_000 },
    [
      { peer: 'envoy', must: 0.8 },
      { peer: 'nginx', must: 1.2, aim: 0.9 },
    ],
  ),
  ...(['h2-bulk-up', 'h2-bulk-down'] as const).map(kind =>
    row(
      kind,
      kind === 'h2-bulk-up' ? 'bulk, to the server' : 'bulk, to the client',
      { kind, amount: { full: 768 * mebibyte, short: 64 * mebibyte }, warmUp: 48 * mebibyte },
      bulk,
    ),
  ),
  row(
    'long-streams',
    '500 bidirectional streams on 10 clients’ connections, a message a second each',
    {
      kind: 'h2-long-streams',
      connections: 10,
      depth: 50,
      identities: 10,
      amount: { full: 2_500 },
      warmUp: 500,
    },
    [
      { peer: 'envoy', must: 1.2 },
      { peer: 'nginx', aim: 1.0 },
    ],
  ),
];

const otherRows: readonly Row[] = [
  row(
    'connection-a-request',
    'a connection a call, four side by side',
    {
      kind: 'h2-connections',
      connections: 4,
      messageBytes: 100,
      amount: { full: 1_000, short: 200 },
      warmUp: 100,
    },
    [{ peer: 'haproxy', must: 2.0, aim: 1.2 }],
  ),
  row(
    'paths-10000',
    'unary calls, 10,000 distinct paths, 4 × 32',
    {
      kind: 'h2-unary',
      connections: 4,
      depth: 32,
      messageBytes: 100,
      paths: 10_000,
      amount: { full: 60_000 },
      warmUp: 10_000,
    },
    [{ peer: 'nghttpx', must: 1.5, aim: 1.0 }],
  ),
];

const tokenSystems: Scenario['systems'] = {
  lockwire: around => lockwireHttp2(around, 'token'),
  nghttpx: around => nghttpx(around, 'token'),
  envoy: around => envoyHttp2(around, 'token'),
};

export const http2Scenarios: readonly Scenario[] = [
  {
    name: 'http2',
    title: 'HTTP/2 over TLS on both legs: client certificates verified',
    note: 'Lockwire also judges each call by policy. nginx: grpc_pass. node:http2: a plain proxy of two sessions and pipes, for reference.',
    entry: 'tls-with-certificate',
    systems,
    rows: [...callRows, ...streamRows, ...otherRows],
  },
  {
    name: 'tokens',
    title: 'HTTP/2 over TLS on both legs: a token with each call',
    note: 'Lockwire and Envoy (jwt_authn, with its cache) check the tokens; nghttpx does not look at them.',
    entry: 'tls',
    systems: tokenSystems,
    rows: [
      row(
        'tokens-1000',
        'unary calls, 1,000 distinct tokens, 4 × 32',
        {
          kind: 'h2-unary',
          connections: 4,
          depth: 32,
          messageBytes: 100,
          tokens: 1_000,
          amount: { full: 60_000 },
          warmUp: 10_000,
        },
        [
          { peer: 'envoy', must: 0.6 },
          { peer: 'nghttpx', aim: 1.2 },
        ],
      ),
      {
        name: 'token-1-h2load',
        title: 'unary calls, one token, 4 × 32, by h2load',
        load: { by: 'h2load', connections: 4, depth: 32, messageBytes: 100, seconds: 3, warmUpSeconds: 1 },
        ...perPiece,
        targets: [],
      },
    ],
  },
  {
    name: 'http2-idle',
    title: 'HTTP/2 connections that have carried a call and rest; processes made anew for each round',
    entry: 'tls-with-certificate',
    fresh: true,
    systems,
    rows: [
      {
        name: 'h2-idle-connection',
        title: 'memory of an idle connection, and of what it has upstream',
        load: {
          by: 'load',
          kind: 'h2-idle',
          messageBytes: 100,
          amount: { full: 1_000, short: 150 },
          warmUp: 100,
        },
        ...heldPerPiece,
        targets: [{ mustAtMost: 150, aimAtMost: 74 }],
      },
    ],
  },
];
