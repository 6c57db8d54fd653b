import { type LoadedClientConfig, loadClientConfig } from '../config/client.ts';
import type { ClientFlags } from '../config/client-schema.ts';
import { type RunningSide, startConnect } from '../connect.ts';
import { systemClock } from '../core/clock.ts';
import { startExpose } from '../expose.ts';
import { createMetrics } from '../observe/metrics.ts';
import type { Arguments, Command, CommandIo, Option } from './command.ts';
import { readEnrollment } from './enroll.ts';
import { growHeapFreely } from './heap.ts';
import { runUntilSignalled } from './lifetime.ts';
import { logLevelOption, makeLog } from './logging.ts';

/** Of `connect`, `expose` and `doctor`: how the gateway is reached and who asks. */
export const commonSideOptions: Readonly<Record<string, Option>> = {
  config: { value: 'FILE', help: 'the same settings from a JSON file; flags go before it' },
  gateway: { value: 'HOST:PORT', help: 'the gateway' },
  target: { value: 'NAME', help: 'the target, as the gateway names it' },
  ca: { value: 'FILE', help: "authority of the gateway's certificate; the system's roots without it" },
  'server-name': { value: 'NAME', help: "the name in the gateway's certificate, where it is not HOST" },
  'token-file': { value: 'FILE', help: 'a token, 0600; read again before it runs out' },
  cert: { value: 'FILE', help: 'a client certificate in place of a token' },
  key: { value: 'FILE', help: 'its private key, 0600' },
  'instance-key-file': { value: 'FILE', help: "this instance's own key; made on first start" },
};

const common: Readonly<Record<string, Option>> = {
  ...commonSideOptions,
  enroll: {
    value: 'CODE',
    help: 'at the first start: binds this instance to the gateway that gave the code',
  },
  admin: { value: 'ADDR', help: 'health and metrics on 127.0.0.1:PORT or [::1]:PORT' },
  'log-level': logLevelOption,
};

export const connectCommand: Command = {
  name: 'connect',
  summary: 'A loopback port that is the target: give it to AutoGen workers in place of the host.',
  usage:
    '--gateway HOST:PORT --target NAME --listen ADDR [--proxy ADDR] [--ca FILE] [--token-file FILE | --cert FILE --key FILE]',
  options: {
    ...common,
    listen: { value: 'ADDR', help: '127.0.0.1:PORT, [::1]:PORT or unix:PATH' },
    proxy: {
      value: 'ADDR',
      help: 'a CONNECT proxy (grpc_proxy) to the target, beside --listen or in its place',
    },
    hosts: {
      value: 'HOST[:PORT]',
      repeated: true,
      help: "what the proxy's clients may ask for beside NAME; may be repeated",
    },
    'allow-user': {
      value: 'USER',
      repeated: true,
      help: 'another user, by name or number, who may use the TCP port; may be repeated',
    },
  },
  positionals: [0, 0],
  run: (args, io) => runSide('connect', args, io),
};

export const exposeCommand: Command = {
  name: 'expose',
  summary: 'Serves a host on this machine through the gateway; nothing listens here.',
  usage:
    '--gateway HOST:PORT --target NAME --to ADDR [--ca FILE] [--token-file FILE | --cert FILE --key FILE]',
  options: {
    ...common,
    to: { value: 'ADDR', help: 'the host: 127.0.0.1:PORT, [::1]:PORT or unix:PATH' },
    'require-no-bypass': { help: 'refuse to serve a host whose port is bound beyond loopback' },
  },
  positionals: [0, 0],
  run: (args, io) => runSide('expose', args, io),
};

async function runSide(role: 'connect' | 'expose', args: Arguments, io: CommandIo): Promise<number> {
  growHeapFreely();
  const load = () => loadClientConfig(role, flagsOf(args), { env: io.env, nowMs: systemClock.now() });
  const enrollment = readEnrollment(args.value('enroll'));
  const config = await load();
  const log = makeLog(io, args.value('log-level'), config.logLevel);
  for (const warning of config.warnings) log.warn({}, warning);
  const start = role === 'connect' ? startConnect : startExpose;
  const tell = (line: string): void => io.err(`lockwire: ${line}`);
  const code = await runUntilSignalled({
    start: givenUp =>
      start(config, {
        clock: systemClock,
        log,
        tell,
        givenUp,
        load,
        metrics: createMetrics(),
        ...(enrollment && { enrollment }),
      }),
    ready: running => io.out(readyLine(role, config, running)),
    log,
  });
  await log.flush();
  return code;
}

function readyLine(role: 'connect' | 'expose', config: LoadedClientConfig, running: RunningSide): string {
  const { host, port } = config.gateway;
  const admin = running.admin === undefined ? '' : `, admin ${running.admin}`;
  const via = `target ${config.target} through ${host}:${port} as ${running.principal}`;
  return role === 'connect'
    ? `lockwire: connect ready on ${running.address}, ${via}${running.proxy ? `, CONNECT proxy on ${running.proxy}` : ''}${admin}`
    : `lockwire: expose ready for ${running.address}, ${via}${ofGateways(running)}${admin}${wayPast(running)}`;
}

/** It serves with the first tunnel; the others follow. */
function ofGateways({ gateways }: RunningSide): string {
  const { tunnels, instances } = gateways?.() ?? { tunnels: 1, instances: 1 };
  return instances === 1 ? '' : `, tunnels to ${tunnels} of ${instances} gateway processes so far`;
}

/** In the line that people read, since the log may be nobody's. */
function wayPast({ bypass = [] }: RunningSide): string {
  return bypass.length === 0
    ? ''
    : `; WARNING: the host is bound to ${bypass.join(', ')} as well, past lockwire`;
}

export function flagsOf(args: Arguments): ClientFlags {
  return {
    config: args.value('config'),
    gateway: args.value('gateway'),
    target: args.value('target'),
    listen: args.value('listen'),
    to: args.value('to'),
    ca: args.value('ca'),
    serverName: args.value('server-name'),
    tokenFile: args.value('token-file'),
    cert: args.value('cert'),
    key: args.value('key'),
    instanceKeyFile: args.value('instance-key-file'),
    proxy: args.value('proxy'),
    hosts: args.values('hosts'),
    requireNoBypass: args.has('require-no-bypass') || undefined,
    allowUser: args.values('allow-user'),
    admin: args.value('admin'),
    logLevel: args.value('log-level'),
    // Each setting that can be a flag is read: the compiler holds them together.
  } satisfies Record<keyof ClientFlags, unknown>;
}
