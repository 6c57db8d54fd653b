import type { createAuthenticator } from './access/identity/authenticator.ts';
import type { createAuthorizer } from './access/policy/authorizer.ts';
import type { PolicyConfig } from './config/load-policies.ts';
import type { LoadedGatewayConfig, LoadedListener, LoadedTarget } from './config/loaded.ts';
import { formatAuthority } from './core/authority.ts';
import { builtAtMs } from './core/build.ts';
import type { Clock } from './core/clock.ts';
import type { Http2Target, Target } from './gateway-target.ts';
import type { ListenerOptions } from './transport/options.ts';
import { TlsDialer } from './transport/tls-client.ts';

/** A loaded config as the options of each room. */

export function makeTarget(target: LoadedTarget, clock: Clock): Target {
  const { name, exclusive: stateful, upstream } = target;
  const http2 = http2Target(target);
  const { autogen } = target;
  if (upstream.kind === 'tunnel') return { name, stateful, http2, autogen, upstream };
  const { host, port, serverName, ca, cert, key } = upstream;
  const dialer = new TlsDialer(
    {
      host,
      port,
      serverName,
      // A server that does not agree to it would take HTTP/2's preface for a broken request of another protocol.
      ...(http2 ? { alpn: ['h2'], alpnRequired: true } : { alpn: [] }),
      ...(ca === undefined ? {} : { ca: [ca] }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    },
    { clock },
  );
  const authority = formatAuthority(port === 443 ? { host: serverName } : { host: serverName, port });
  return {
    name,
    stateful,
    http2,
    autogen,
    upstream: { kind: 'dial', address: `tls://${host}:${port}`, authority, dialer },
  };
}

function http2Target({ kind, upstreamMode, hosts, services }: LoadedTarget): Http2Target | undefined {
  return kind === 'tcp' ? undefined : { grpc: kind !== 'http2', upstreamMode, hosts, services };
}

export function identityOptions(config: LoadedGatewayConfig): Parameters<typeof createAuthenticator>[0] {
  return {
    builtAtMs,
    issuers: config.issuers,
    authorities: config.certificates,
  };
}

/** With the names that there are, so that a policy that misspells one is refused at load. */
export function policyOptions(config: PolicyConfig): Parameters<typeof createAuthorizer>[0] {
  return {
    policies: config.policies,
    known: {
      sources: [...config.issuers, ...config.certificates].map(({ name }) => name),
      targets: config.targets.map(({ name }) => name),
    },
  };
}

export function listenerOptions(entry: LoadedListener, config: LoadedGatewayConfig): ListenerOptions {
  const { cert, key, minVersion, clientCertificates } = entry.tls;
  const clientAuthorities = config.certificates.map(({ ca }) => ca);
  return {
    name: entry.name,
    bind: entry.bind,
    tls: { cert, key, minVersion, clientCertificates, clientAuthorities },
    routes: {
      tunnel: true,
      http2: config.targets.some(({ kind }) => kind !== 'tcp'),
      tcp: config.targets
        .filter(({ kind, serverNames }) => kind === 'tcp' && serverNames.length > 0)
        .map(({ name, serverNames }) => ({ target: name, serverNames, clientCertificate: true })),
    },
    limits: {
      deadlineMs: entry.handshakeTimeoutMs,
      maxUnfinished: entry.maxUnfinished,
      maxUnfinishedPerSource: entry.maxUnfinishedPerSource,
      maxConnections: entry.maxConnections,
    },
  };
}
