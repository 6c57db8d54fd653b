// The load: a process of its own, so that its work is in nobody's account. It lives for a whole run and stays warm.
import * as bytes from './load-bytes.ts';
import type { Pause } from './load-connection.ts';
import * as http2 from './load-http2.ts';
import type { LoadKind, LoadOrder, LoadReply, LoadResult } from './messages.ts';

const patienceMs = 120_000;

const kinds: Readonly<Record<LoadKind, (order: LoadOrder, pause: Pause) => Promise<LoadResult>>> = {
  'ping-pong': bytes.pingPong,
  'bulk-up': bytes.bulkUp,
  'bulk-down': bytes.bulkDown,
  handshakes: bytes.handshakes,
  idle: bytes.idle,
  'h2-unary': http2.unary,
  'h2-ping-pong': http2.pingPong,
  'h2-flood': http2.flood,
  'h2-bulk-up': http2.bulkUp,
  'h2-bulk-down': http2.bulkDown,
  'h2-connections': http2.connections,
  'h2-long-streams': http2.longStreams,
  'h2-idle': http2.idle,
};

let go: (() => void) | undefined;

function say(reply: LoadReply): void {
  process.send?.(reply);
}

const pause: Pause = state =>
  new Promise(resolve => {
    go = resolve;
    say({ state });
  });

function failed(error: unknown): void {
  say({ state: 'failed', error: error instanceof Error ? error.message : String(error) });
}

process.on('message', (message: LoadOrder | 'go') => {
  if (message === 'go') return go?.();
  const timer = setTimeout(() => failed(new Error(`not done after ${patienceMs} ms`)), patienceMs);
  kinds[message.kind](message, pause)
    .then(result => say({ state: 'done', result }), failed)
    .finally(() => clearTimeout(timer));
});
process.on('disconnect', () => process.exit(0));
