// The kinds of load that are bytes and nothing more: what the systems carry without looking into it.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { open, type Pause, percentiles } from './load-connection.ts';
import { type LoadOrder, type LoadResult, pingBytes } from './messages.ts';

const chunk = Buffer.alloc(64 * 1024, 0x5a);
const ping = Buffer.alloc(pingBytes, 0x5a);

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

export async function pingPong(order: LoadOrder, pause: Pause): Promise<LoadResult> {
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

async function bulk(order: LoadOrder, pause: Pause, move: typeof upload): Promise<LoadResult> {
  await move(order, order.warmUp);
  await pause('warm');
  const started = performance.now();
  await move(order, order.amount);
  return { milliseconds: performance.now() - started, amount: order.amount };
}

export function bulkUp(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  return bulk(order, pause, upload);
}

export function bulkDown(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  return bulk(order, pause, download);
}

/** A connection that has carried one byte there and back: both of the proxy's legs are up. */
async function openThrough(order: LoadOrder): Promise<Socket> {
  const socket = await open(order);
  const answer = receive(socket, 1);
  socket.write('E\nx');
  await answer;
  return socket;
}

export async function handshakes(order: LoadOrder, pause: Pause): Promise<LoadResult> {
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
    await Promise.all(Array.from({ length: order.connections ?? 1 }, lane));
  };
  await make(order.warmUp);
  await pause('warm');
  times.length = 0;
  const started = performance.now();
  await make(order.amount);
  return { milliseconds: performance.now() - started, amount: times.length, ...percentiles(times) };
}

/** Many connections that rest, beside those of the warm-up: what they cost is memory. */
export async function idle(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const hold = async (count: number): Promise<Socket[]> => {
    const sockets: Socket[] = [];
    for (let number = 0; number < count; number += 1) sockets.push(await openThrough(order));
    return sockets;
  };
  // They stay: a closed one would leave its memory to be used again, and that would cost nothing.
  const before = await hold(order.warmUp);
  await pause('warm');
  const started = performance.now();
  const sockets = await hold(order.amount);
  await pause('held');
  for (const socket of [...before, ...sockets]) socket.destroy();
  return { milliseconds: performance.now() - started, amount: order.amount };
}
