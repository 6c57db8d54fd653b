/** An AutoGen host of our own: what `lockwire up` puts behind the wire where no other host is named. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { type LocalAddress, parseLocalAddress } from '../core/address.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { AgentRpcHandlers, type HostStats } from './agent-rpc-handlers.ts';
import { defaultHostLimits, type HostLimits } from './options.ts';
import { agentRpcService } from './service.ts';
import { busy, clearStaleSocket, makeSocketPrivate } from './unix-socket.ts';

export interface AutogenHostOptions {
  /** `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`; port 0 takes a free one. */
  readonly address: string;
  readonly log: Log;
  readonly limits?: Partial<HostLimits>;
  readonly clock?: Clock;
}

export interface AutogenHost {
  /** The address with the real port. */
  readonly address: string;
  stats(): HostStats;
  /** Ends every channel, then the server. */
  close(): Promise<void>;
}

/** Throws `usage` where the address can't be had. */
export async function startAutogenHost(options: AutogenHostOptions): Promise<AutogenHost> {
  const limits = { ...defaultHostLimits, ...options.limits };
  const clock = options.clock ?? systemClock;
  const handlers = new AgentRpcHandlers(limits, clock, options.log);
  const server = new Server({
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
  });
  server.addService(agentRpcService, handlers.implementation());
  const address = await bind(server, parseLocalAddress(options.address, 'address'));
  options.log.info({ address }, 'AutoGen host is ready');
  return {
    address,
    stats: () => handlers.stats(),
    close: () => {
      handlers.endAll('the host is stopping');
      return shutdown(server, clock, limits.closeGraceMs);
    },
  };
}

async function bind(server: Server, address: LocalAddress): Promise<string> {
  if (address.kind === 'unix') {
    await clearStaleSocket(address.path);
    await listen(server, `unix:${address.path}`);
    await makeSocketPrivate(address.path);
    return `unix:${address.path}`;
  }
  const port = await listen(server, `${address.host}:${address.port}`);
  return `${address.host}:${port}`;
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (!error) resolve(port);
      else if (error.message.includes('EADDRINUSE')) reject(busy(address));
      else
        reject(new LockwireError('usage', `cannot listen on ${address}: ${error.message}`, { cause: error }));
    });
  });
}

function shutdown(server: Server, clock: Clock, graceMs: number): Promise<void> {
  return new Promise(resolve => {
    const timer = clock.after(graceMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      timer.cancel();
      resolve();
    });
  });
}
