// Envoy: bytes (`tcp_proxy`), and HTTP/2 on both legs, with or without its check of tokens.
import { envoyBinary } from '../envoy-package.ts';
import { serverName } from '../material.ts';
import { freePort, untilListening } from '../ports.ts';
import { Program } from '../program.ts';
import type { Credential, Surroundings, System } from './system.ts';

const plenty = 100_000;
const network = 'envoy.filters.network';
const http = 'envoy.filters.http';

export async function envoyBytes(around: Surroundings): Promise<System> {
  return system('bytes', around, 'certificate', around.backend.tls, [], {
    name: `${network}.tcp_proxy`,
    typed_config: {
      '@type': typeOf('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
      stat_prefix: 'bench',
      cluster: 'backend',
    },
  });
}

export async function envoyHttp2(around: Surroundings, credential: Credential): Promise<System> {
  const filters = [
    ...(credential === 'token' ? [tokenCheck(around)] : []),
    {
      name: `${http}.router`,
      typed_config: { '@type': typeOf('envoy.extensions.filters.http.router.v3.Router') },
    },
  ];
  return system(`http2-${credential}`, around, credential, around.backend.http2, ['h2'], {
    name: `${network}.http_connection_manager`,
    typed_config: {
      '@type': typeOf('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'bench',
      codec_type: 'HTTP2',
      stream_idle_timeout: '0s',
      http_filters: filters,
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: 'backend', timeout: '0s' } }],
          },
        ],
      },
    },
  });
}

/** As Lockwire's: the signature, issuer and audience; a token that was seen is remembered. */
function tokenCheck({ material: { tokens } }: Surroundings): object {
  return {
    name: `${http}.jwt_authn`,
    typed_config: {
      '@type': typeOf('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'),
      providers: {
        bench: {
          issuer: tokens.issuer,
          audiences: [tokens.audience],
          local_jwks: { inline_string: tokens.keySet },
          jwt_cache_config: { jwt_cache_size: 4096 },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
    },
  };
}

async function system(
  name: string,
  { material }: Surroundings,
  credential: Credential,
  to: number,
  alpn: readonly string[],
  filter: object,
): Promise<System> {
  const port = await freePort();
  const address = (number: number): object => ({
    socket_address: { address: '127.0.0.1', port_value: number },
  });
  const listener = {
    name: 'bench',
    address: address(port),
    tcp_backlog_size: 4096,
    filter_chains: [
      {
        filters: [filter],
        transport_socket: tls('DownstreamTlsContext', {
          require_client_certificate: credential === 'certificate',
          common_tls_context: {
            ...versions,
            ...(alpn.length > 0 ? { alpn_protocols: alpn } : {}),
            tls_certificates: [pair(material.server)],
            ...(credential === 'certificate'
              ? { validation_context: { trusted_ca: { filename: material.ca } } }
              : {}),
          },
        }),
      },
    ],
  };
  const cluster = {
    name: 'backend',
    type: 'STATIC',
    connect_timeout: '10s',
    circuit_breakers: {
      thresholds: [
        {
          max_connections: plenty,
          max_pending_requests: plenty,
          max_requests: plenty,
        },
      ],
    },
    load_assignment: {
      cluster_name: 'backend',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(to) } }] }],
    },
    transport_socket: tls('UpstreamTlsContext', {
      sni: serverName,
      common_tls_context: {
        ...versions,
        ...(alpn.length > 0 ? { alpn_protocols: alpn } : {}),
        tls_certificates: [pair(material.client)],
        validation_context: {
          trusted_ca: { filename: material.ca },
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: serverName } }],
        },
      },
    }),
    ...(alpn.length > 0 ? { typed_extension_protocol_options: http2Upstream } : {}),
  };
  const file = material.file(
    `envoy-${name}.json`,
    JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } }),
  );
  const program = new Program(
    'envoy',
    await envoyBinary(),
    ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warn'],
    material.folder,
  );
  await untilListening(port, program);
  return { port, programs: [program] };
}

const versions = {
  tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
};

const http2Upstream = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeOf('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function pair({ cert, key }: { readonly cert: string; readonly key: string }): object {
  return { certificate_chain: { filename: cert }, private_key: { filename: key } };
}

function tls(context: string, settings: object): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: { '@type': typeOf(`envoy.extensions.transport_sockets.tls.v3.${context}`), ...settings },
  };
}

function typeOf(name: string): string {
  return `type.googleapis.com/${name}`;
}
