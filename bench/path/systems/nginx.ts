// nginx: bytes (its stream module), and HTTP/2 with `grpc_pass` over TLS.
import { existsSync, mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Material, serverName } from '../material.ts';
import { freePort, untilListening } from '../ports.ts';
import { Program } from '../program.ts';
import type { Surroundings, System } from './system.ts';

/** Debian and Ubuntu build it as a module, which must be named. */
export const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';
/** So that no connection is replaced in the middle of a row. */
const unlimited = 1_000_000_000;

export async function nginxBytes(around: Surroundings): Promise<System> {
  const port = await freePort();
  return system(
    'bytes',
    around,
    port,
    `load_module ${streamModule};`,
    `stream {
  server {
    listen 127.0.0.1:${port} ssl reuseport backlog=4096;
    ${accept(around.material)}
    proxy_pass 127.0.0.1:${around.backend.tls};
    proxy_ssl on;
    ${verifies('proxy', around.material)}
    proxy_timeout 10m;
    tcp_nodelay on;
  }
}`,
  );
}

export async function nginxHttp2(around: Surroundings): Promise<System> {
  const port = await freePort();
  const folder = join(around.material.folder, 'nginx-temp');
  mkdirSync(folder, { recursive: true });
  return system(
    'http2',
    around,
    port,
    '',
    `http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  upstream backend {
    server 127.0.0.1:${around.backend.http2};
    keepalive 256;
    keepalive_requests ${unlimited};
    keepalive_time 10h;
  }
  server {
    listen 127.0.0.1:${port} ssl http2 backlog=4096;
    server_name ${serverName};
    ${accept(around.material)}
    keepalive_requests ${unlimited};
    keepalive_time 10h;
    keepalive_timeout 10m;
    client_max_body_size 0;
    client_body_timeout 10m;
    location / {
      grpc_pass grpcs://backend;
      ${verifies('grpc', around.material)}
      grpc_read_timeout 10m;
      grpc_send_timeout 10m;
    }
  }
}`,
  );
}

function accept({ server, ca }: Material): string {
  return `ssl_certificate ${server.cert};
    ssl_certificate_key ${server.key};
    ssl_client_certificate ${ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;`;
}

function verifies(prefix: 'proxy' | 'grpc', { client, ca }: Material): string {
  return `${prefix}_ssl_certificate ${client.cert};
    ${prefix}_ssl_certificate_key ${client.key};
    ${prefix}_ssl_trusted_certificate ${ca};
    ${prefix}_ssl_verify on;
    ${prefix}_ssl_server_name on;
    ${prefix}_ssl_name ${serverName};
    ${prefix}_ssl_protocols TLSv1.3;`;
}

/** One process: the master of a worker would only wait. */
async function system(
  name: string,
  { material }: Surroundings,
  port: number,
  modules: string,
  body: string,
): Promise<System> {
  const config = `${modules}
daemon off;
master_process off;
${userInfo().uid === 0 ? 'user root;' : ''}
pid ${join(material.folder, `nginx-${name}.pid`)};
error_log stderr warn;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
${body}
`;
  const file = material.file(`nginx-${name}.conf`, config);
  const program = new Program(
    'nginx',
    'nginx',
    ['-p', material.folder, '-e', 'stderr', '-c', file],
    material.folder,
  );
  await untilListening(port, program);
  return { port, programs: [program] };
}

export function hasStreamModule(): boolean {
  return existsSync(streamModule);
}
