import { LockwireError } from '../core/errors.ts';
import { adminRequest } from '../observe/admin-client.ts';
import type { Enrollment } from '../side-trust.ts';
import { adminOptions, adminUsage, socketOf } from './admin.ts';
import type { Command } from './command.ts';

export const enrollCommand: Command = {
  name: 'enroll',
  summary:
    'Gives a one-time code that binds one connect or expose to its principal and role, and to this gateway.',
  usage: `--principal WHO --role connect|expose [--target NAME] | --list | --remove FINGERPRINT ${adminUsage}`,
  options: {
    principal: { value: 'WHO', help: 'User::ISSUER|SUBJECT or Workload::SOURCE|NAME' },
    role: { value: 'ROLE', help: 'connect or expose' },
    target: { value: 'NAME', help: 'the one target that it may use; without it, what the policy permits' },
    list: { help: 'the instances that are bound' },
    remove: { value: 'FINGERPRINT', help: 'takes the binding of an instance back' },
    ...adminOptions,
  },
  positionals: [0, 0],
  async run(args, io) {
    const socket = await socketOf(args);
    const remove = args.value('remove');
    if (args.has('list') || remove !== undefined) {
      const answer =
        remove === undefined
          ? await adminRequest(socket, 'GET', '/enrolments')
          : await adminRequest(socket, 'POST', '/enrolments/remove', { instance: remove });
      io.out(JSON.stringify(answer, null, 2));
      return 0;
    }
    const principal = args.value('principal');
    const role = args.value('role');
    if (principal === undefined || role === undefined)
      throw new LockwireError('usage', 'missing --principal WHO or --role connect|expose');
    const body = { principal, role, target: args.value('target') ?? '' };
    const { code, gatewayKey, expiresAt } = readAnswer(await adminRequest(socket, 'POST', '/enroll', body));
    io.out(`${code}.${gatewayKey.slice(0, fingerprintDigits)}`);
    io.err(`good for one start of lockwire ${role} --enroll CODE as ${principal}, until ${expiresAt}`);
    io.err(`key of this gateway: sha256:${gatewayKey}`);
    return 0;
  },
};

export const rotateKeyCommand: Command = {
  name: 'rotate-key',
  summary:
    'Gives the gateway a new key, signed by the old one: enrolled instances follow. Not for a key that was stolen.',
  usage: adminUsage,
  options: adminOptions,
  positionals: [0, 0],
  async run(args, io) {
    io.out(JSON.stringify(await adminRequest(await socketOf(args), 'POST', '/rotate-key', {})));
    return 0;
  },
};

/** 128 bits of the fingerprint: nobody makes a key that begins alike. */
const fingerprintDigits = 32;

/** `--enroll CODE`: the code, and which gateway gave it. Throws `usage`; what was given is not repeated, it is a secret. */
export function readEnrollment(text: string | undefined): Enrollment | undefined {
  if (text === undefined) return undefined;
  const [code = '', gatewayFingerprint = '', more] = text.trim().split('.');
  const letters = code.replaceAll(/[\s-]/g, '');
  if (/^[0-9A-Za-z]{20}$/.test(letters) && /^[0-9a-f]{32}$/.test(gatewayFingerprint) && more === undefined)
    return { code, gatewayFingerprint };
  throw new LockwireError('usage', '--enroll: expected the whole code as lockwire enroll printed it');
}

function readAnswer(answer: unknown): { code: string; gatewayKey: string; expiresAt: string } {
  const { code, gatewayKey, expiresAt } = Object(answer) as Readonly<Record<string, unknown>>;
  return { code: String(code), gatewayKey: String(gatewayKey), expiresAt: String(expiresAt) };
}
