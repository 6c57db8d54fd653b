import { createAuthenticator } from '../access/identity/authenticator.ts';
import { createAuthorizer } from '../access/policy/authorizer.ts';
import { loadGatewayConfig } from '../config/load-gateway.ts';
import type { LoadedGatewayConfig } from '../config/loaded.ts';
import { ConfigError, formatProblem } from '../config/problem.ts';
import { builtAtMs } from '../core/build.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { noMetrics, silentLog } from '../core/ports.ts';
import { policyOptions } from '../gateway-options.ts';
import { checkLive } from '../live-check.ts';
import type { Command, CommandIo } from './command.ts';

export const checkCommand: Command = {
  name: 'check',
  summary: 'Reads a config and every file that it names, and says all that is wrong: file, line, path.',
  usage: 'FILE [--live] [--development]',
  options: {
    live: {
      help: 'then from this machine: clock, certificates, ports, keys of issuers, targets that are dialled, store',
    },
    development: { help: "take development material, as 'lockwire up' does" },
  },
  positionals: [1, 1],
  async run(args, io) {
    const [path = ''] = args.positionals;
    try {
      const config = await loadGatewayConfig(path, {
        nowMs: systemClock.now(),
        development: args.has('development'),
      });
      const ports = { clock: systemClock, log: silentLog, metrics: noMetrics };
      createAuthenticator({ issuers: config.issuers, authorities: config.certificates, builtAtMs }, ports);
      await createAuthorizer(policyOptions(config), ports);
      for (const warning of config.warnings) io.err(formatProblem(warning));
      io.out(`${path}: ok`);
      return args.has('live') ? await tellLive(config, io) : 0;
    } catch (error) {
      io.err(error instanceof ConfigError ? error.format() : messageOf(error));
      return 2;
    }
  },
};

async function tellLive(config: LoadedGatewayConfig, io: CommandIo): Promise<number> {
  const findings = await checkLive(config, systemClock);
  const width = Math.max(...findings.map(({ what }) => what.length));
  for (const { what, ok, seen } of findings)
    io.out(`  ${what.padEnd(width)}  ${ok ? 'ok    ' : 'FAILED'}  ${seen}`);
  return findings.every(({ ok }) => ok) ? 0 : 1;
}
