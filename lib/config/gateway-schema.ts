import { z } from 'zod';
import { connectionLimits } from './connection-limits.ts';
import {
  authority,
  bind,
  count,
  dialUrl,
  duration,
  fileOrUrl,
  filePath,
  httpsUrl,
  later,
  matching,
  messageBytes,
  name,
  oneOf,
  peerName,
  serverName,
  serviceName,
  sourceName,
  word,
} from './fields.ts';
import type {
  CertificatesEntry,
  GatewayFile,
  IssuerEntry,
  LimitsEntry,
  ListenerEntry,
  TargetEntry,
} from './gateway-file.ts';

/**
 * The one schema of the gateway's config: it checks the file, fills in defaults, and is printed as JSON Schema for
 * editors and as `docs/configuration.md`. The compiler holds it and `gateway-file.ts` together.
 */

/** Signature algorithms of tokens: asymmetric ones only, so that a public key never verifies an HMAC (RFC 8725 section 3.1). */
const algorithms = [
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
  'EdDSA',
  'Ed25519',
] as const;

const atLeastOne = (what: string) => ({ error: `expected at least one ${what}` });

const listenerSchema: z.ZodType<ListenerEntry> = matching<ListenerEntry>()(
  z
    .strictObject({
      name: name().meta({ description: 'Names the listener in logs, metrics and policy; unique.' }),
      bind: bind().meta({
        description: 'Address and port; port 0 lets the system choose, the ready line says which.',
      }),
      tls: z
        .strictObject({
          cert: filePath().meta({ description: 'Certificate chain (PEM), leaf first.' }),
          key: filePath().meta({
            description:
              'Private key (PEM, not encrypted) of the certificate, readable by its owner only (0600).',
          }),
          minVersion: oneOf(['TLSv1.3', 'TLSv1.2'])
            .prefault('TLSv1.3')
            .meta({ description: 'Oldest TLS version that is accepted.' }),
          clientCertificates: oneOf(['none', 'optional', 'required']).prefault('none').meta({
            description:
              'Whether clients are asked for a certificate; they are verified against `identity.certificates`.',
          }),
        })
        .meta({ description: 'Every listener speaks TLS.' }),
      handshakeTimeout: duration('10s', { min: '100ms', max: '2m' }).meta({
        description: 'From accept until identity is settled: handshake, first bytes and credential.',
      }),
      maxUnfinished: count(512, 65_536).meta({
        description:
          'Connections whose identity is not yet settled; beyond it the oldest unfinished one is closed.',
      }),
      maxUnfinishedPerSource: count(128, 65_536).meta({
        description: 'The same for one source address (IPv6: one /64).',
      }),
      maxConnections: count(10_000, 1_000_000).meta({
        description: 'Connections in all; beyond it new ones are closed.',
      }),
      proxyProtocol: later().meta({ description: 'The PROXY protocol of a load balancer in front.' }),
      plaintext: later().meta({ description: 'A listener without TLS.' }),
    })
    .meta({
      description:
        'A public port. One port serves tunnels, HTTP/2 requests and TCP targets; ALPN and server name decide.',
    }),
);

const issuerSchema: z.ZodType<IssuerEntry> = matching<IssuerEntry>()(
  z
    .strictObject({
      name: sourceName().meta({
        description: 'Names the issuer in policy: `Lockwire::User::"name|subject"`; unique.',
      }),
      issuer: httpsUrl().meta({ description: 'The exact `iss` of its tokens.' }),
      audience: z
        .union([word(), z.array(word()).min(1)], { error: 'expected a text or a list of texts' })
        .meta({ description: 'The exact `aud`, or several of which one must be in the token.' }),
      token: oneOf(['access', 'id'])
        .prefault('access')
        .meta({ description: 'The type of token that is accepted.' }),
      principal: oneOf(['user', 'workload'])
        .prefault('user')
        .meta({ description: 'What a token of this issuer is: a person, or a program (CI tokens).' }),
      authorizedParties: z.array(word()).min(1, atLeastOne('client id')).optional().meta({
        description: 'Client ids (`azp` or `client_id`) whose tokens are accepted; without it, any.',
      }),
      algorithms: z
        .array(oneOf(algorithms))
        .min(1, atLeastOne('algorithm'))
        .prefault([...algorithms])
        .meta({ description: 'Signature algorithms that are accepted; only asymmetric ones exist here.' }),
      groups: word()
        .optional()
        .meta({ description: 'The claim that lists groups; without it there are none.' }),
      maxLifetime: duration('24h', { min: '1m', max: '400d' }).meta({
        description: 'Tokens made to live longer (`exp` − `iat`) are refused.',
      }),
      jwks: fileOrUrl().optional().meta({
        description: 'Keys of the issuer: a JWKS file or URL. Without it, OpenID discovery at the issuer.',
      }),
      ca: filePath().optional().meta({
        description: 'Private CA (PEM) of the issuer’s https server; without it, the system’s roots.',
      }),
    })
    .meta({ description: 'An issuer of JSON web tokens.' }),
);

const certificatesSchema: z.ZodType<CertificatesEntry> = matching<CertificatesEntry>()(
  z
    .strictObject({
      name: sourceName().meta({
        description: 'Names the source in policy: `Lockwire::Workload::"name|san"`; unique.',
      }),
      ca: filePath().meta({ description: 'CA certificates (PEM) that client certificates must come from.' }),
      crl: filePath().optional().meta({
        description: 'Revocation lists (PEM), one for every CA of the chain.',
      }),
    })
    .meta({ description: 'Client certificates: X.509 and SPIFFE.' }),
);

const targetSchema: z.ZodType<TargetEntry> = matching<TargetEntry>()(
  z
    .strictObject({
      name: name().meta({ description: 'Names the target: `lockwire connect --target NAME`; unique.' }),
      dialect: oneOf(['autogen-rpc'], ['studio', 'openai', 'mcp', 'a2a', 'ag-ui']).optional().meta({
        description:
          'What the bytes mean. `autogen-rpc`: an AutoGen host, which is gRPC over HTTP/2; one active `expose`, others wait.',
      }),
      protocol: oneOf(['tcp', 'grpc', 'http2'], ['http', 'http1', 'websocket']).optional().meta({
        description:
          '`tcp`: bytes of any protocol. `http2`: a service of HTTP/2 requests. `grpc`: the same, and each request must be gRPC. Exactly one of `dialect` and `protocol` is given.',
      }),
      via: oneOf(['tunnel']).optional().meta({
        description:
          '`tunnel`: reached through a `lockwire expose`. Exactly one of `via` and `dial` is given.',
      }),
      dial: dialUrl()
        .optional()
        .meta({ description: '`tls://HOST:PORT`: the gateway dials it, over verified TLS.' }),
      serverNames: z.array(serverName()).min(1, atLeastOne('name')).optional().meta({
        description: 'Server names (SNI) by which TLS clients reach a `tcp` target without `connect`.',
      }),
      hosts: z.array(authority()).min(1, atLeastOne('host')).optional().meta({
        description:
          'Authorities (`HOST`, which takes any port, or `HOST:PORT`) by which direct TLS clients reach an HTTP/2 target: `dialect` `autogen-rpc`, `protocol` `grpc` or `http2`. Unique across targets.',
      }),
      services: z.array(serviceName()).min(1, atLeastOne('service')).optional().meta({
        description:
          'gRPC services by which direct TLS clients reach an HTTP/2 target whose authority no `hosts` names, such as `agents.AgentRpc`. Unique across targets.',
      }),
      upstream: oneOf(['own', 'shared']).optional().meta({
        description:
          'Connections of an HTTP/2 target: `own` gives each client’s connection one of its own, `shared` lets the requests of several share one. Without it, `own` for `autogen-rpc`, whose state hangs on the connection, and `shared` for `grpc` and `http2`.',
      }),
      serverName: peerName().optional().meta({
        description: 'Name that the dialled server’s certificate must carry; without it, the host of `dial`.',
      }),
      ca: filePath()
        .optional()
        .meta({ description: 'CA (PEM) of the dialled server; without it, the system’s roots.' }),
      cert: filePath()
        .optional()
        .meta({ description: 'Client certificate (PEM) shown to the dialled server; with `key`.' }),
      key: filePath().optional().meta({ description: 'Its private key (PEM), 0600.' }),
      plaintext: later().meta({ description: 'An upstream without TLS.' }),
      exclusive: z.boolean({ error: 'expected true or false' }).optional().meta({
        description:
          'One active `expose` at a time, others wait: for a service that keeps state. Always so for `autogen-rpc`, where it says more: every worker of the host comes through Lockwire, so that an RPC to an agent type that nobody has registered is answered with an error at once.',
      }),
      maxMessageBytes: messageBytes().meta({
        description:
          'Longest message of `autogen-rpc`, after rewriting: from workers (`up`) and to them (`down`), or one number for both. A longer RPC or response is answered with an error, a longer publication is dropped; the channel stays open.',
      }),
      requestTimeout: duration('10m', { min: '1s', max: '24h' }).meta({
        description:
          'From an RPC of `autogen-rpc` to its response; then the caller gets an error in its place.',
      }),
      stallTimeout: duration('30s', { min: '1s', max: '10m' }).meta({
        description:
          'How long a worker of `autogen-rpc` may take nothing of what waits for it, while whoever sends to it stands still; then its channel ends, and its senders go on.',
      }),
    })
    .meta({ description: 'Something that clients may reach.' }),
);

const limitsSchema: z.ZodType<LimitsEntry> = matching<LimitsEntry>()(
  z.strictObject({
    sessions: count(10_000, 1_000_000).meta({ description: 'Tunnel sessions in all.' }),
    sessionsPerPrincipal: count(64, 100_000).meta({ description: 'Sessions of one principal at a time.' }),
    streamsPerSession: count(256, 65_536).meta({ description: 'Streams of one connect session at a time.' }),
    pendingOpens: count(64, 65_536).meta({
      description: 'Opens of one connect session that wait for an answer.',
    }),
    ...connectionLimits,
  }),
);

/** The parts whose entries are judged one by one, so that one bad entry hides no fault of another. */
export const entrySchemas: {
  readonly listeners: z.ZodType<ListenerEntry>;
  readonly issuers: z.ZodType<IssuerEntry>;
  readonly certificates: z.ZodType<CertificatesEntry>;
  readonly targets: z.ZodType<TargetEntry>;
} = {
  listeners: listenerSchema,
  issuers: issuerSchema,
  certificates: certificatesSchema,
  targets: targetSchema,
};

export const policySchema: z.ZodType<GatewayFile['policy']> = matching<GatewayFile['policy']>()(
  z
    .strictObject({
      files: z
        .array(filePath())
        .min(1, atLeastOne('policy file'))
        .meta({ description: 'Cedar policies; all of them count.' }),
    })
    .meta({ description: 'What is permitted. Everything else is denied.' }),
);

export const storeSchema: z.ZodType<GatewayFile['store']> = matching<GatewayFile['store']>()(
  z
    .strictObject({
      kind: oneOf(['embedded'], ['fleet', 'postgres'])
        .prefault('embedded')
        .meta({ description: '`embedded`: files on this machine.' }),
      path: filePath()
        .prefault('./data')
        .meta({ description: 'Directory of the state; made with 0700 where missing.' }),
    })
    .prefault({})
    .meta({ description: 'Where state is kept.' }),
);

export const adminSchema: z.ZodType<GatewayFile['admin']> = matching<GatewayFile['admin']>()(
  z
    .strictObject({
      socket: filePath().optional().meta({
        description:
          'Unix socket of the command line, 0600; without it, `admin.sock` in the store’s directory.',
      }),
      bind: bind().optional().meta({
        description:
          'Loopback address for `/healthz`, `/readyz` and `/metrics`; without it, only the socket serves them.',
      }),
      tls: later().meta({ description: 'TLS for an admin address beyond loopback.' }),
    })
    .prefault({})
    .meta({ description: 'Health, metrics and the admin socket.' }),
);

export const gatewaySchema: z.ZodType<GatewayFile> = matching<GatewayFile>()(
  z
    .strictObject({
      $schema: z.string().optional().meta({ description: 'For editors; not read.' }),
      listeners: z
        .array(listenerSchema)
        .min(1, atLeastOne('listener'))
        .meta({ description: 'The public ports.' }),
      identity: z
        .strictObject({
          issuers: z.array(issuerSchema).prefault([]).meta({ description: 'Issuers of tokens.' }),
          certificates: z
            .array(certificatesSchema)
            .prefault([])
            .meta({ description: 'Sources of client certificates.' }),
          enrolment: oneOf(['optional', 'required']).prefault('optional').meta({
            description:
              '`required`: only instances whose key was bound to their principal and role by `lockwire enroll` may open a tunnel. `optional`: others may too, and are listed as unbound.',
          }),
        })
        .meta({ description: 'Who may be somebody here. At least one issuer or source of certificates.' }),
      targets: z
        .array(targetSchema)
        .min(1, atLeastOne('target'))
        .meta({ description: 'What can be reached.' }),
      policy: policySchema,
      limits: limitsSchema.prefault({}).meta({ description: 'Bounds of sessions and streams.' }),
      store: storeSchema,
      admin: adminSchema,
      instances: count(1, 64).meta({
        description:
          'Gateway processes behind one address (of a balancer), this one among them; one that drains does not count. Every `expose` keeps a tunnel to each.',
      }),
      drainTimeout: duration('10m', { min: '0ms', max: '24h' }).meta({
        description: 'How long live streams run on after SIGTERM.',
      }),
      masking: later().meta({ description: 'Masking of secrets in the stream.' }),
      record: later().meta({ description: 'The record of sessions.' }),
      vault: later().meta({ description: 'Upstream credentials.' }),
    })
    .meta({ title: 'Lockwire gateway', description: 'The config of `lockwire gateway --config FILE`.' }),
);
