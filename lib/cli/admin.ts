import { resolve } from 'node:path';
import { loadGatewayConfig } from '../config/load-gateway.ts';
import { systemClock } from '../core/clock.ts';
import { adminRequest } from '../observe/admin-client.ts';
import type { Arguments, Command, Option } from './command.ts';

/** Where the gateway is that a command asks. */
export const adminOptions: Readonly<Record<string, Option>> = {
  socket: { value: 'PATH', help: "the gateway's admin socket; .lockwire/admin.sock without it" },
  config: { value: 'FILE', help: "or the gateway's config, which names it" },
};

export const adminUsage = '[--socket PATH | --config FILE]';

export const explainCommand: Command = {
  name: 'explain',
  summary: 'Says why something was denied: who asked for what, which rule, what nearly permitted it.',
  usage: `ID ${adminUsage}`,
  options: adminOptions,
  positionals: [1, 1],
  async run(args, io) {
    const [id = ''] = args.positionals;
    const answer = await adminRequest(await socketOf(args), 'GET', `/explain?id=${encodeURIComponent(id)}`);
    io.out(textOf(answer));
    return 0;
  },
};

export const sessionsCommand: Command = {
  name: 'sessions',
  summary: 'Lists the tunnels and relayed streams that live.',
  usage: adminUsage,
  options: adminOptions,
  positionals: [0, 0],
  async run(args, io) {
    io.out(JSON.stringify(await adminRequest(await socketOf(args), 'GET', '/sessions'), null, 2));
    return 0;
  },
};

export const reloadCommand: Command = {
  name: 'reload',
  summary: 'Makes the gateway read its config anew, and says what is wrong with it; then nothing changes.',
  usage: adminUsage,
  options: adminOptions,
  positionals: [0, 0],
  async run(args, io) {
    io.out(textOf(await adminRequest(await socketOf(args), 'POST', '/reload', {})));
    return 0;
  },
};

export async function socketOf(args: Arguments): Promise<string> {
  const socket = args.value('socket');
  if (socket !== undefined) return resolve(socket);
  const path = args.value('config');
  if (path === undefined) return resolve('.lockwire/admin.sock');
  const config = await loadGatewayConfig(path, { nowMs: systemClock.now(), development: true });
  return config.admin.socketPath;
}

function textOf(answer: unknown): string {
  const text = typeof answer === 'object' && answer !== null && 'text' in answer ? answer.text : undefined;
  return typeof text === 'string' ? text : JSON.stringify(answer, null, 2);
}
