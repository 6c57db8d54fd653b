import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadClientConfig } from '../config/client.ts';
import { loadGatewayConfig } from '../config/load-gateway.ts';
import { type RunningSide, startConnect } from '../connect.ts';
import {
  formatAddress,
  isLoopback,
  maxUnixPathBytes,
  parseBind,
  parseLocalAddress,
} from '../core/address.ts';
import { safeText } from '../core/bytes.ts';
import { systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { type AutogenHost, startAutogenHost } from '../demo/autogen-host.ts';
import { type DevelopmentMaterial, prepareDevelopment } from '../demo/development.ts';
import { ensurePrivateDirectory } from '../demo/private-files.ts';
import { startExpose } from '../expose.ts';
import { type RunningGateway, startGateway } from '../gateway.ts';
import { createMetrics } from '../observe/metrics.ts';
import { holdLock } from '../store/instance-key.ts';
import type { Command, CommandIo } from './command.ts';
import { growHeapFreely } from './heap.ts';
import { runUntilSignalled, type Stoppable } from './lifetime.ts';
import { logLevelOption, makeLog } from './logging.ts';
import { defaultWorkerAddress } from './try.ts';

export const upCommand: Command = {
  name: 'up',
  summary: 'All of it on this machine, for development: CA, issuer, gateway, connect, expose, and a host.',
  usage: '[--listen ADDR] [--to ADDR]',
  options: {
    listen: { value: 'ADDR', help: `what AutoGen workers are given; ${defaultWorkerAddress} by default` },
    to: { value: 'ADDR', help: 'an AutoGen host that runs already; without it, one of our own' },
    gateway: { value: 'ADDR', help: "the gateway's own address; 127.0.0.1:8443 by default" },
    directory: { value: 'DIR', help: 'where development keys and tokens live; .lockwire by default' },
    'log-level': { ...logLevelOption, help: 'debug, info, warn, error; warn by default' },
  },
  positionals: [0, 0],
  async run(args, io) {
    growHeapFreely();
    const log = makeLog(io, args.value('log-level'), 'warn');
    const settings = readSettings({
      listen: args.value('listen') ?? defaultWorkerAddress,
      to: args.value('to'),
      gateway: args.value('gateway') ?? '127.0.0.1:8443',
      directory: args.value('directory') ?? '.lockwire',
    });
    const up = new Up(settings, io, log);
    const code = await runUntilSignalled({
      start: async givenUp => {
        try {
          await up.start(givenUp);
          return up;
        } catch (error) {
          await up.stop();
          throw error;
        }
      },
      ready: () => up.say(),
      log,
      tell: line => io.err(`lockwire: ${line}`),
    });
    await log.flush();
    return code;
  },
};

interface Settings {
  readonly listen: string;
  readonly to: string | undefined;
  readonly gateway: { readonly host: string; readonly port: number };
  readonly directory: string;
}

/** Throws `usage`: before anything is made or bound. */
function readSettings(given: {
  listen: string;
  to: string | undefined;
  gateway: string;
  directory: string;
}): Settings {
  const listen = formatAddress(parseLocalAddress(given.listen, '--listen'));
  const to = given.to === undefined ? undefined : formatAddress(parseLocalAddress(given.to, '--to'));
  const gateway = parseBind(given.gateway);
  if (gateway === undefined) {
    throw new LockwireError(
      'usage',
      `--gateway "${safeText(given.gateway)}": expected 127.0.0.1:PORT or [::1]:PORT`,
    );
  }
  if (!isLoopback(gateway.host)) {
    throw new LockwireError('usage', `--gateway ${given.gateway}: development material is for loopback only`);
  }
  const own = formatAddress(gateway);
  for (const [flag, address] of [
    ['--listen', listen],
    ['--to', to],
  ] as const) {
    if (address === own && gateway.port !== 0) {
      throw new LockwireError('usage', `${flag} ${address} is the gateway's own address; choose another`);
    }
  }
  if (to === listen) {
    throw new LockwireError(
      'usage',
      `--to and --listen are both ${to}; workers would reach the host directly: choose another --listen`,
    );
  }
  return { listen, to, gateway, directory: resolve(given.directory) };
}

function holdDirectory(directory: string): () => void {
  const held = `another lockwire up is running with ${directory}: stop it, or give this one a --directory of its own`;
  try {
    return holdLock(join(directory, 'up'), held);
  } catch (error) {
    if (error instanceof LockwireError) throw new LockwireError('usage', error.message, { cause: error });
    throw error;
  }
}

const hostSocket = 'host.sock';

/** The parts of `up`, started in the order that bytes need them and ended in the other. */
class Up implements Stoppable {
  readonly #settings: Settings;
  readonly #io: CommandIo;
  readonly #log: Log;
  /** What was started, first things first. */
  readonly #parts: Stoppable[] = [];
  #lines: readonly string[] = [];

  constructor(settings: Settings, io: CommandIo, log: Log) {
    this.#settings = settings;
    this.#io = io;
    this.#log = log;
  }

  async start(givenUp: AbortSignal): Promise<void> {
    const { directory, gateway: bind, to, listen } = this.#settings;
    // Before anything in it is touched: two of them would write each other's config and tokens.
    await ensurePrivateDirectory(directory);
    const release = holdDirectory(directory);
    this.#parts.push({ drain: async () => release(), stop: async () => release() });
    const material = await prepareDevelopment({ directory, clock: systemClock, listen: bind });
    const hostAddress = to ?? (await this.#startHost(directory)).address;
    const gateway = await this.#startGateway(material);
    const port = gateway.listeners[0]?.port ?? bind.port;
    const expose = await this.#startSide('expose', material, port, hostAddress, givenUp);
    const connect = await this.#startSide('connect', material, port, listen, givenUp);
    this.#lines = this.#describe(material, {
      host: to ?? `our own, ${hostAddress}`,
      expose,
      gateway,
      connect,
    });
  }

  /** What runs where, and what to do with it. */
  say(): void {
    for (const line of this.#lines) this.#io.out(line);
  }

  reload(cause: string): void {
    for (const part of this.#parts) part.reload?.(cause);
  }

  async drain(): Promise<void> {
    for (const part of [...this.#parts].reverse()) await part.drain();
  }

  async stop(): Promise<void> {
    for (const part of [...this.#parts].reverse()) await part.stop();
  }

  /** On a socket that only this user can reach, where its path is short enough. */
  async #startHost(directory: string): Promise<AutogenHost> {
    const socket = join(directory, hostSocket);
    const address = Buffer.byteLength(socket) <= maxUnixPathBytes ? `unix:${socket}` : '127.0.0.1:0';
    const host = await startAutogenHost({ address, log: this.#log });
    const end = (): Promise<void> => host.close();
    this.#parts.push({ drain: end, stop: end });
    return host;
  }

  async #startGateway(material: DevelopmentMaterial): Promise<RunningGateway> {
    const load = () => loadGatewayConfig(material.config, { nowMs: systemClock.now(), development: true });
    const config = await load();
    const gateway = await startGateway(config, {
      clock: systemClock,
      log: this.#log,
      metrics: createMetrics(),
      load,
    }).catch((error: unknown) => {
      if (!(error instanceof LockwireError) || error.code !== 'usage') throw error;
      const what = error.message.replace('; choose another in "bind"', '');
      throw new LockwireError('usage', `${what}; choose another with --gateway ADDR`);
    });
    this.#parts.push(gateway);
    return gateway;
  }

  /** With a token file of its own that renews itself. */
  async #startSide(
    role: 'connect' | 'expose',
    material: DevelopmentMaterial,
    port: number,
    address: string,
    givenUp: AbortSignal,
  ): Promise<RunningSide> {
    const tokenFile = join(material.tokens, `${role}.jwt`);
    const renewal = await material.startTokenRenewal({ file: tokenFile, subject: role, log: this.#log });
    this.#parts.push({ drain: async () => renewal.stop(), stop: async () => renewal.stop() });
    const instances = join(material.store, 'instances');
    mkdirSync(instances, { recursive: true, mode: 0o700 });
    const { host } = this.#settings.gateway;
    const config = await loadClientConfig(
      role,
      {
        gateway: formatAddress({ host, port }),
        target: material.target,
        ca: material.ca,
        tokenFile,
        instanceKeyFile: join(instances, `${role}.key`),
        ...(role === 'connect' ? { listen: address } : { to: address }),
      },
      { env: {}, nowMs: systemClock.now() },
    );
    const start = role === 'connect' ? startConnect : startExpose;
    const tell = (line: string): void => this.#io.err(`lockwire: ${line}`);
    const side = await start(config, { clock: systemClock, log: this.#log, tell, givenUp });
    this.#parts.push(side);
    return side;
  }

  #describe(
    material: DevelopmentMaterial,
    parts: { host: string; expose: RunningSide; gateway: RunningGateway; connect: RunningSide },
  ): readonly string[] {
    const { connect, gateway, host } = parts;
    const gatewayAddress = gateway.listeners.map(formatAddress).join(', ');
    const { self } = this.#io;
    const shown = connect.address === defaultWorkerAddress ? '' : ` ${connect.address}`;
    return [
      'lockwire: DEVELOPMENT ready; keys, tokens and policy made for this machine are in ' +
        material.directory,
      `  connect   ${connect.address}   give this to your workers, in place of the host`,
      `  gateway   ${gatewayAddress}   TLS 1.3 on both sides; who may do what is in ${material.policy}`,
      `  expose    for the AutoGen host (${host})`,
      '',
      'Your worker, in Python, unchanged but for the address:',
      '  import asyncio; from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime',
      '  async def main():',
      `      worker = GrpcWorkerAgentRuntime("${connect.address}"); await worker.start(); print("on the wire"); await worker.stop()`,
      '  asyncio.run(main())',
      '',
      `Without Python:  ${self} try${shown}`,
      `For real:        ${self} init DIR, then docs/production.md`,
    ];
  }
}
