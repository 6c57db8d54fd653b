// The load: a process of its own, so that its work is in nobody's account. It lives for a whole run and stays warm.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type LoadOrder, type LoadReply, type LoadResult, pingBytes } from './messages.ts';
import { quantile } from './statistics.ts';

const chunk = Buffer.alloc(64 * 1024, 0x5a);
const ping = Buffer.alloc(pingBytes, 0x5a);
const patienceMs = 120_000;

let go: (() => void) | undefined;

function say(reply: LoadReply): void {
  process.send?.(reply);
}

/** Tells the harness where it is, and waits until it has looked. */
function pause(state: 'warm' | 'held'): Promise<void> {
  return new Promise(resolve => {
    go = resolve;
    say({ state });
  });
}

async function open({ port, tls }: LoadOrder): Promise<Socket> {
  const common = { host: '127.0.0.1', port, noDelay: true };
  if (tls === undefined) {
    const socket = connect(common);
    await once(socket, 'connect');
    return socket;
  }
  const { serverName: servername, ...material } = tls;
  const socket = connectTls({ ...common, ...material, servername, minVersion: 'TLSv1.3' });
  await once(socket, 'secureConnect');
  return socket;
}

/** Resolves when `wanted` more bytes have come. */
function receive(socket: Socket, wanted: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const finish = (error?: Error): void => {
      socket.off('data', onData);
      socket.off('close', onClose);
      socket.off('error', finish);
      if (error) reject(error);
      else resolve();
    };
    const onData = (data: Buffer): void => {
      received += data.byteLength;
      if (received > wanted) finish(new Error(`received ${received} bytes of ${wanted}`));
      else if (received === wanted) finish();
    };
    const onClose = (): void => finish(new Error(`closed after ${received} of ${wanted} bytes`));
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.on('error', finish);
  });
}

async function pingPong(order: LoadOrder): Promise<LoadResult> {
  const socket = await open(order);
  socket.write('E\n');
  const rounds = async (count: number, note: (milliseconds: number) => void): Promise<void> => {
    const end = performance.now() + order.limitMs;
    for (let round = 0; round < count && performance.now() < end; round += 1) {
      const started = performance.now();
      const answer = receive(socket, pingBytes);
      socket.write(ping);
      await answer;
      note(performance.now() - started);
    }
  };
  await rounds(order.warmUp, () => {});
  await pause('warm');
  const times: number[] = [];
  const started = performance.now();
  await rounds(order.amount, milliseconds => times.push(milliseconds));
  const milliseconds = performance.now() - started;
  socket.destroy();
  return { milliseconds, amount: times.length, ...percentiles(times) };
}

async function upload(order: LoadOrder, bytes: number): Promise<void> {
  const socket = await open(order);
  const answer = receive(socket, 1);
  socket.write(`U ${bytes}\n`);
  const pump = async (): Promise<void> => {
    for (let left = bytes; left > 0; left -= chunk.byteLength) {
      const part = left >= chunk.byteLength ? chunk : chunk.subarray(0, left);
      if (!socket.write(part)) await once(socket, 'drain');
    }
  };
  await Promise.all([pump(), answer]);
  socket.destroy();
}

async function download(order: LoadOrder, bytes: number): Promise<void> {
  const socket = await open(order);
  socket.write(`D ${bytes}\n`);
  await receive(socket, bytes);
  socket.destroy();
}

async function bulk(order: LoadOrder, move: typeof upload): Promise<LoadResult> {
  await move(order, order.warmUp);
  await pause('warm');
  const started = performance.now();
  await move(order, order.amount);
  return { milliseconds: performance.now() - started, amount: order.amount };
}

/** A connection that has carried one byte there and back: both of the proxy's legs are up. */
async function openThrough(order: LoadOrder): Promise<Socket> {
  const socket = await open(order);
  const answer = receive(socket, 1);
  socket.write('E\nx');
  await answer;
  return socket;
}

async function handshakes(order: LoadOrder): Promise<LoadResult> {
  const times: number[] = [];
  const make = async (total: number): Promise<void> => {
    let left = total;
    const end = performance.now() + order.limitMs;
    const lane = async (): Promise<void> => {
      while (left > 0 && performance.now() < end) {
        left -= 1;
        const started = performance.now();
        const socket = await openThrough(order);
        times.push(performance.now() - started);
        socket.destroy();
      }
    };
    await Promise.all(Array.from({ length: order.concurrency ?? 1 }, lane));
  };
  await make(order.warmUp);
  await pause('warm');
  times.length = 0;
  const started = performance.now();
  await make(order.amount);
  return { milliseconds: performance.now() - started, amount: times.length, ...percentiles(times) };
}

/** Many connections that rest: after the warm-up (the same number, closed again) they cost only memory. */
async function idle(order: LoadOrder): Promise<LoadResult> {
  const hold = async (count: number): Promise<Socket[]> => {
    const sockets: Socket[] = [];
    for (let number = 0; number < count; number += 1) sockets.push(await openThrough(order));
    return sockets;
  };
  for (const socket of await hold(order.warmUp)) socket.destroy();
  await pause('warm');
  const started = performance.now();
  const sockets = await hold(order.amount);
  await pause('held');
  for (const socket of sockets) socket.destroy();
  return { milliseconds: performance.now() - started, amount: order.amount };
}

function percentiles(times: number[]): { p50Ms: number; p99Ms: number } {
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

function run(order: LoadOrder): Promise<LoadResult> {
  switch (order.kind) {
    case 'ping-pong':
      return pingPong(order);
    case 'bulk-up':
      return bulk(order, upload);
    case 'bulk-down':
      return bulk(order, download);
    case 'handshakes':
      return handshakes(order);
    case 'idle':
      return idle(order);
  }
}

function failed(error: unknown): void {
  say({ state: 'failed', error: error instanceof Error ? error.message : String(error) });
}

process.on('message', (message: LoadOrder | 'go') => {
  if (message === 'go') return go?.();
  const timer = setTimeout(() => failed(new Error(`not done after ${patienceMs} ms`)), patienceMs);
  run(message)
    .then(result => say({ state: 'done', result }), failed)
    .finally(() => clearTimeout(timer));
});
process.on('disconnect', () => process.exit(0));
