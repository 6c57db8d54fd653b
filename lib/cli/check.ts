import { createAuthenticator } from '../access/identity/authenticator.ts';
import { createAuthorizer } from '../access/policy/authorizer.ts';
import { loadGatewayConfig } from '../config/load-gateway.ts';
import { ConfigError, formatProblem } from '../config/problem.ts';
import { builtAtMs } from '../core/build.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { noMetrics, silentLog } from '../core/ports.ts';
import { policyOptions } from '../gateway-options.ts';
import type { Command } from './command.ts';

export const checkCommand: Command = {
  name: 'check',
  summary: 'Reads a config and every file that it names, and says all that is wrong: file, line, path.',
  usage: 'FILE [--development]',
  options: { development: { help: "take development material, as 'lockwire up' does" } },
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
      return 0;
    } catch (error) {
      io.err(error instanceof ConfigError ? error.format() : messageOf(error));
      return 2;
    }
  },
};
