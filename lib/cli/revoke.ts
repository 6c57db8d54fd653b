import { LockwireError } from '../core/errors.ts';
import { adminRequest } from '../observe/admin-client.ts';
import { adminOptions, adminUsage, socketOf } from './admin.ts';
import type { Arguments, Command } from './command.ts';

/** The options that name what is revoked, and what the gateway calls it. */
const kinds: Readonly<Record<string, string>> = {
  principal: 'principal',
  'token-id': 'token',
  instance: 'instance',
  certificate: 'certificate',
};

export const revokeCommand: Command = {
  name: 'revoke',
  summary:
    'Refuses a principal, a token, an instance or a certificate from now on; what lives ends within a second.',
  usage:
    '(--principal WHO | --token-id ID | --instance FINGERPRINT | --certificate SHA256) [--reason TEXT] | --list | --undo ID',
  options: {
    principal: {
      value: 'WHO',
      help: 'User::ISSUER|SUBJECT or Workload::SOURCE|NAME, as lockwire sessions shows it',
    },
    'token-id': { value: 'ID', help: "a token's jti, or the id that lockwire sessions shows" },
    instance: { value: 'FINGERPRINT', help: 'SHA-256 of the key of one connect or expose' },
    certificate: { value: 'SHA256', help: 'SHA-256 of a client certificate, with or without colons' },
    reason: { value: 'TEXT', help: 'kept with it for admins; never told to anybody else' },
    list: { help: 'what is revoked' },
    undo: { value: 'ID', help: 'takes a revocation back' },
    ...adminOptions,
  },
  positionals: [0, 0],
  async run(args, io) {
    io.out(JSON.stringify(await ask(args), null, 2));
    return 0;
  },
};

async function ask(args: Arguments): Promise<unknown> {
  const given = Object.keys(kinds).filter(name => args.value(name) !== undefined);
  const undo = args.value('undo');
  const asked = given.length + (args.has('list') ? 1 : 0) + (undo === undefined ? 0 : 1);
  if (asked !== 1)
    throw new LockwireError(
      'usage',
      `expected exactly one of --principal, --token-id, --instance, --certificate, --list and --undo, not ${asked}`,
    );
  const socket = await socketOf(args);
  if (args.has('list')) return adminRequest(socket, 'GET', '/revocations');
  if (undo !== undefined) return adminRequest(socket, 'POST', '/revoke/undo', { id: undo });
  const [name = ''] = given;
  return adminRequest(socket, 'POST', '/revoke', {
    kind: kinds[name],
    value: args.value(name),
    reason: args.value('reason') ?? '',
  });
}

export const killCommand: Command = {
  name: 'kill',
  summary: 'Ends a tunnel, or one of its streams, within a second; it may come again.',
  usage: `SESSION [--reason TEXT] ${adminUsage}`,
  options: { reason: { value: 'TEXT', help: "for the gateway's log" }, ...adminOptions },
  positionals: [1, 1],
  async run(args, io) {
    const [session = ''] = args.positionals;
    const body = { session, reason: args.value('reason') ?? '' };
    io.out(JSON.stringify(await adminRequest(await socketOf(args), 'POST', '/kill', body)));
    return 0;
  },
};
