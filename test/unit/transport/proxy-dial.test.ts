import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { systemClock } from '../../../lib/core/clock.ts';
import { TlsDialer } from '../../../lib/transport/tls-client.ts';
import { startForwardProxy } from '../../support/loopback-forward-proxy.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const authority = await makeAuthority({ name: 'Scratch CA' });
const dialer = (port: number, clock = systemClock) =>
  new TlsDialer(
    {
      ...{ host: 'gateway.example', port: 8443, ca: [authority.certPem], alpn: [] },
      proxy: { host: '127.0.0.1', port, tls: false, authorization: 'Basic aHVudGVyMg==' },
    },
    { clock },
  );

t.test('each wrong answer of a proxy has its own error, which names it and never the credential', async t => {
  const cases: [string, string, RegExp][] = [
    [
      'HTTP/1.1 200 OK\r\n',
      'timeout',
      /gateway\.example:8443 through proxy 127\.0\.0\.1:\d+ did not answer within/,
    ],
    [
      'HTTP/1.1 403 No \u001b[31mway\r\n\r\n',
      'denied',
      /refused gateway\.example:8443: 403 No \\u\{1b\}\[31mway$/,
    ],
    ['HTTP/1.1 407 \r\n\r\n', 'denied', /: 407; the user or password in HTTPS_PROXY is not accepted$/],
    ['HTTP/1.1 429 Slow down\r\n\r\n', 'unavailable', /: 429 Slow down$/],
    ['HTTP/1.1 502 Bad Gateway\r\n\r\n', 'unavailable', /: 502 Bad Gateway$/],
    ['HTTP/1.1 100 Continue\r\n\r\n', 'denied', /: 100 Continue$/],
    ['SSH-2.0-OpenSSH\r\n\r\n', 'protocol', /answered something else than HTTP$/],
    [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(8192)}`, 'limit', /answered with more than 8192 B$/],
  ];
  for (const [answer, code, message] of cases) {
    const proxy = await startForwardProxy({ route: () => undefined, answer });
    const clock = new TurnedClock();
    const dialled = dialer(proxy.port, code === 'timeout' ? clock : systemClock).dial();
    if (code === 'timeout') {
      while (proxy.heads.length === 0) await new Promise(setImmediate);
      clock.turn(10_000);
    }
    const error = (await dialled.catch((error: unknown) => error)) as Error;
    t.match(error, { code, message }, JSON.stringify(answer.slice(0, 40)));
    t.notMatch(error.message, /aHVudGVy/);
    t.match(proxy.heads, [
      /^CONNECT gateway\.example:8443 HTTP\/1\.1\r\nHost: gateway\.example:8443\r\nProxy-Auth/,
    ]);
    proxy.close();
  }
});

t.test('a proxy that is not there, or hangs up, is unavailable: it may come back', async t => {
  const proxy = await startForwardProxy({ route: () => undefined });
  proxy.close();
  await t.rejects(dialer(proxy.port).dial(), {
    code: 'unavailable',
    message: /^proxy 127\.0\.0\.1:\d+ cannot be reached: ECONNREFUSED$/,
  });
  const server = createServer(socket => void socket.resume().end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  await t.rejects(dialer((server.address() as AddressInfo).port).dial(), {
    code: 'unavailable',
    message: /^proxy 127\.0\.0\.1:\d+: it closed the connection without an answer$/,
  });
});
