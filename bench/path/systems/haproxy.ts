// haproxy: bytes (`mode tcp`), HTTP/2 on both legs (`mode http`), and three in a row.
import { type Material, serverName } from '../material.ts';
import { freePort, untilListening } from '../ports.ts';
import { Program } from '../program.ts';
import type { Surroundings, System } from './system.ts';

const globals = `global
  nbthread 1
  maxconn 4000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  timeout connect 10s
  timeout client 10m
  timeout server 10m
`;

interface Hop {
  readonly bind: number;
  readonly to: number;
  readonly tlsIn: boolean;
  readonly tlsOut: boolean;
  readonly mode: 'tcp' | 'http';
}

/** TLS in with client certificates verified, TLS out with the server verified. */
export async function haproxyBytes(around: Surroundings): Promise<System> {
  return system('bytes', around, [
    { bind: await freePort(), to: around.backend.tls, tlsIn: true, tlsOut: true, mode: 'tcp' },
  ]);
}

export async function haproxyHttp2(around: Surroundings): Promise<System> {
  return system('http2', around, [
    { bind: await freePort(), to: around.backend.http2, tlsIn: true, tlsOut: true, mode: 'http' },
  ]);
}

/** Plain to TLS, TLS to TLS, TLS to plain. */
export async function haproxyChain(around: Surroundings): Promise<System> {
  const [first, second, third] = [await freePort(), await freePort(), await freePort()];
  return system('chain', around, [
    { bind: first, to: second, tlsIn: false, tlsOut: true, mode: 'tcp' },
    { bind: second, to: third, tlsIn: true, tlsOut: true, mode: 'tcp' },
    { bind: third, to: around.backend.plain, tlsIn: true, tlsOut: false, mode: 'tcp' },
  ]);
}

async function system(name: string, { material }: Surroundings, hops: readonly Hop[]): Promise<System> {
  const programs = hops.map((hop, index) => {
    const file = material.file(`haproxy-${name}-${index}.cfg`, globals + proxy(hop, material));
    return new Program('haproxy', 'haproxy', ['-db', '-f', file], material.folder);
  });
  for (const [index, program] of programs.entries()) await untilListening(hops[index]?.bind ?? 0, program);
  return { port: hops[0]?.bind ?? 0, programs };
}

function proxy({ bind, to, tlsIn, tlsOut, mode }: Hop, { server, client, ca }: Material): string {
  const alpn = mode === 'http' ? ' alpn h2' : '';
  const accept = tlsIn ? ` ssl crt ${server.both} ca-file ${ca} verify required${alpn}` : '';
  const dial = tlsOut
    ? ` ssl crt ${client.both} ca-file ${ca} verify required sni str(${serverName}) verifyhost ${serverName}${alpn}`
    : '';
  return `listen hop
  mode ${mode}
  bind 127.0.0.1:${bind}${accept}
  server next 127.0.0.1:${to}${dial}
`;
}
