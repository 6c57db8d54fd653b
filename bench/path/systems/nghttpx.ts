// nghttpx, nghttp2's own proxy: HTTP/2 over TLS on both legs.
import { serverName } from '../material.ts';
import { freePort, untilListening } from '../ports.ts';
import { Program } from '../program.ts';
import type { Credential, Surroundings, System } from './system.ts';

export async function nghttpx(around: Surroundings, credential: Credential): Promise<System> {
  const { material, backend } = around;
  const port = await freePort();
  const program = new Program(
    'nghttpx',
    'nghttpx',
    [
      ...['--conf=/dev/null', '--single-process', '--workers=1', '--errorlog-file=/dev/stderr'],
      // Else it starts a script that asks for the certificate's status.
      '--no-ocsp',
      ...[`--frontend=127.0.0.1,${port}`, '--backlog=4096', '--tls-min-proto-version=TLSv1.3'],
      `--backend=127.0.0.1,${backend.http2};;proto=h2;tls;sni=${serverName}`,
      ...[`--cacert=${material.ca}`, `--client-cert-file=${material.client.cert}`],
      `--client-private-key-file=${material.client.key}`,
      ...(credential === 'certificate' ? ['--verify-client', `--verify-client-cacert=${material.ca}`] : []),
      ...['--frontend-http2-read-timeout=1h', '--backend-read-timeout=1h', '--stream-read-timeout=1h'],
      ...[material.server.key, material.server.cert],
    ],
    material.folder,
  );
  await untilListening(port, program);
  return { port, programs: [program] };
}
