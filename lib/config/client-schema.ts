import { z } from 'zod';
import { type ConnectionLimits, connectionLimits } from './connection-limits.ts';
import { duration, filePath, matching, name, oneOf, word } from './fields.ts';

/** The config file of `connect` or `expose`: the same keys as their flags, all optional; flags win. */
export interface ClientFile {
  readonly $schema?: string | undefined;
  readonly gateway?: string | undefined;
  readonly target?: string | undefined;
  readonly listen?: string | undefined;
  readonly to?: string | undefined;
  readonly ca?: string | undefined;
  readonly serverName?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly instanceKeyFile?: string | undefined;
  readonly allowUser?: readonly string[] | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly drainTimeout: number;
  readonly proxy?: string | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly limits: ConnectionLimits;
  readonly requireNoBypass?: boolean | undefined;
  readonly admin?: string | undefined;
}

/** What stands in the file alone. */
type FileOnly = '$schema' | 'drainTimeout' | 'limits';

/** What the command line gave, by the names of the file's keys; `config` names that file. A level is judged later. */
export interface ClientFlags extends Partial<Omit<ClientFile, FileOnly | 'logLevel'>> {
  readonly config?: string | undefined;
  readonly logLevel?: string | undefined;
}

/** File and flags together. */
export type ClientSettings = Omit<ClientFlags, 'config'> & Omit<Pick<ClientFile, FileOnly>, '$schema'>;

/** Keys that one of the two commands knows, and the other refuses. */
export const ownKeys: Readonly<Record<'connect' | 'expose', readonly (keyof ClientFile)[]>> = {
  connect: ['listen', 'proxy', 'hosts', 'allowUser'],
  expose: ['to', 'requireNoBypass'],
};

/** Keys that name a file: in the config relative to it, on the command line to the current directory. */
export type FileKey = 'ca' | 'tokenFile' | 'cert' | 'key' | 'instanceKeyFile';
export const fileKeys: readonly FileKey[] = ['ca', 'tokenFile', 'cert', 'key', 'instanceKeyFile'];

/** Keys that may name a unix socket, likewise. */
export type AddressKey = 'listen' | 'to' | 'proxy';
export const addressKeys: readonly AddressKey[] = ['listen', 'to', 'proxy'];

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

const limitsSchema: z.ZodType<ConnectionLimits> = matching<ConnectionLimits>()(
  z.strictObject(connectionLimits),
);

export const clientSchema: z.ZodType<ClientFile> = matching<ClientFile>()(
  z
    .strictObject({
      $schema: z.string().optional().meta({ description: 'For editors; not read.' }),
      gateway: word().optional().meta({ description: '`HOST:PORT` of the gateway.' }),
      target: name().optional().meta({ description: 'Name of the target in the gateway’s config.' }),
      listen: word().optional().meta({
        description: '`connect`: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH` where the agents connect to.',
      }),
      to: word().optional().meta({
        description: '`expose`: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH` of the service.',
      }),
      ca: filePath()
        .optional()
        .meta({ description: 'CA (PEM) of the gateway; without it, the system’s roots.' }),
      serverName: word().optional().meta({
        description: 'Name that the gateway’s certificate must carry; without it, the host of `gateway`.',
      }),
      tokenFile: filePath().optional().meta({
        description: 'File with the token, 0600; read anew for each use. `LOCKWIRE_TOKEN_FILE` names it too.',
      }),
      cert: filePath().optional().meta({ description: 'Client certificate (PEM); with `key`.' }),
      key: filePath().optional().meta({ description: 'Its private key (PEM), 0600.' }),
      instanceKeyFile: filePath().optional().meta({
        description:
          'Key of this instance, made on first start; without it, one in the state directory of the user.',
      }),
      allowUser: z.array(word()).min(1).max(64).optional().meta({
        description:
          '`connect`: other users of this machine, by name or number, who may use its TCP ports; root is no exception.',
      }),
      logLevel: oneOf(logLevels)
        .optional()
        .meta({ description: 'Least severe lines that are logged; `info` without it.' }),
      drainTimeout: duration('10m', { min: '0ms', max: '24h' }).meta({
        description: 'How long live streams run on after SIGTERM.',
      }),
      limits: limitsSchema
        .prefault({})
        .meta({ description: 'How long it waits for the gateway; in the file only.' }),
      proxy: word().optional().meta({
        description:
          '`connect`: address of a CONNECT proxy (`grpc_proxy`, `HTTPS_PROXY`) that leads to the target, in place of `listen` or beside it.',
      }),
      hosts: z.array(word()).min(1).max(64).optional().meta({
        description:
          '`connect`: `HOST` or `HOST:PORT` that clients of `proxy` may ask for, beside the name of the target. Others get 403.',
      }),
      requireNoBypass: z.boolean({ error: 'expected true or false' }).optional().meta({
        description:
          '`expose`: refuses to serve a host whose port is bound beyond loopback, where it can be reached past Lockwire; without it, that is a warning.',
      }),
      admin: word().optional().meta({
        description:
          '`127.0.0.1:PORT` or `[::1]:PORT` for `/healthz`, `/readyz` (ready while a tunnel is up) and `/metrics`, in plain HTTP; none without it.',
      }),
    })
    .meta({
      title: 'Lockwire connect and expose',
      description: 'The config of `lockwire connect --config FILE` and `lockwire expose --config FILE`.',
    }),
);
