import { once } from 'node:events';
import { createServer as createPlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import t from 'tap';
import { createAuthenticator } from '../../../lib/access/identity/authenticator.ts';
import { createHttpsGet } from '../../../lib/access/identity/https-get.ts';
import { systemClock } from '../../../lib/core/clock.ts';
import {
  corp,
  honestClaims,
  jwks,
  KeptLog,
  KeptMetrics,
  makeKey,
  SetClock,
  signToken,
  trust,
} from '../../support/access-identity.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';

type Handler = Parameters<typeof createServer>[1];

const authority = await makeAuthority({ name: 'Test CA' });
const stranger = await makeAuthority({ name: 'Other CA' });
const leaf = await authority.issue({ dns: ['localhost'] });
const get = createHttpsGet(systemClock);
const options = { ca: authority.certPem, maxBytes: 1000, timeoutMs: 5000 };

/** A server, and how often it was asked. */
async function serve(
  test: { teardown(done: () => void): void },
  handler: NonNullable<Handler>,
): Promise<{ url: string; count: () => number }> {
  let count = 0;
  const server: Server = createServer({ cert: leaf.certPem, key: leaf.keyPem }, (request, response) => {
    count += 1;
    handler(request, response);
  });
  const sockets = new Set<Socket>();
  server.on('connection', socket => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `https://localhost:${(server.address() as AddressInfo).port}/keys`, count: () => count };
}

t.test(
  'gets a document of exactly the cap, refuses one byte more, with and without its length said',
  async t => {
    for (const said of [true, false]) {
      const { url } = await serve(t, (request, response) => {
        const body = 'x'.repeat(request.url === '/keys' ? 1000 : 1001);
        if (said) response.setHeader('content-length', body.length);
        response.end(body);
      });
      t.equal((await get(url, options)).length, 1000);
      await t.rejects(get(`${url}-more`, options), { code: 'limit', message: /more than 1000 B/ });
    }
  },
);

t.test('a body that never ends is cut off at the cap', async t => {
  const { url } = await serve(t, (_, response) => {
    const more = (): void => {
      if (!response.destroyed) response.write('x'.repeat(65_536), more);
    };
    more();
  });
  await t.rejects(get(url, options), { code: 'limit' });
});

t.test('a redirect is not followed, inward or anywhere', async t => {
  const inner = await serve(t, (_, response) => response.end('secret'));
  for (const status of [301, 302, 303, 307, 308]) {
    const { url } = await serve(t, (_, response) => {
      response.writeHead(status, { location: inner.url }).end();
    });
    await t.rejects(get(url, options), { code: 'io', message: new RegExp(`answered ${status}, 200 wanted`) });
  }
  t.equal(inner.count(), 0);
  t.equal(await get(inner.url, options), 'secret', 'the place itself answers when it is the one configured');
});

t.test('any status but 200 and any encoding is refused', async t => {
  for (const [status, headers] of [
    [204, {}],
    [404, {}],
    [500, {}],
    [200, { 'content-encoding': 'gzip' }],
  ] as const) {
    const { url } = await serve(t, (_, response) => {
      response.writeHead(status, headers).end();
    });
    await t.rejects(get(url, options), { code: 'io' });
  }
});

t.test(
  'an answer that is slow, silent or dribbling is given up after the time, by the clock handed in',
  async t => {
    const handlers: Record<string, NonNullable<Handler>> = {
      silent: () => {},
      'headers only': (_, response) => response.writeHead(200).flushHeaders(),
      dribbling: (_, response) => {
        response.write('{');
      },
    };
    for (const [name, handler] of Object.entries(handlers)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const { url } = await serve(t, (request, response) => {
        handler(request, response);
        resolve();
      });
      const clock = new SetClock();
      const attempt = createHttpsGet(clock)(url, options);
      const outcome = t.rejects(attempt, { code: 'timeout', message: /within 5000 ms/ }, name);
      await promise;
      clock.advance(5000);
      await outcome;
    }
  },
);

t.test('an answer that breaks off is refused', async t => {
  const { url } = await serve(t, (_, response) => {
    response.setHeader('content-length', 100);
    response.write('half', () => response.socket?.destroy());
  });
  await t.rejects(get(url, options));
});

t.test('a server of another CA or of another name is refused, whatever the environment says', async t => {
  const { url, count } = await serve(t, (_, response) => response.end('{}'));
  await t.rejects(get(url, { ...options, ca: stranger.certPem }));
  await t.rejects(get(url, { maxBytes: 1000, timeoutMs: 5000 }));
  await t.rejects(get(url.replace('localhost', '127.0.0.1'), options));
  t.equal(count(), 0);
  t.equal(await get(url, options), '{}');
});

t.test('plain http is refused before anything is sent', async t => {
  let asked = 0;
  const server = createPlainServer((_, response) => {
    asked += 1;
    response.end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  await t.rejects(get(`http://127.0.0.1:${port}/keys`, options), { code: 'config' });
  await t.rejects(get('nonsense', options), { code: 'config' });
  t.equal(asked, 0);
});

t.test('a thousand unknown kids against a real key server are one more request', async t => {
  const [key, other] = [makeKey('k1'), makeKey('k2')];
  const { url, count } = await serve(t, (_, response) => response.end(jwks(key)));
  const clock = new SetClock();
  const issuer = corp([], { jwks: { kind: 'url', url, ca: authority.certPem } });
  const identity = createAuthenticator(trust([issuer]), {
    clock,
    log: new KeptLog(),
    metrics: new KeptMetrics(),
  });
  await t.resolves(identity.token(signToken(key, honestClaims(clock)), {}));
  t.equal(count(), 1);
  clock.advance(30_000);
  const storm = Array.from({ length: 1000 }, (_, i) =>
    identity.token(signToken(other, honestClaims(clock), { kid: `x${i}` }), {}).then(
      () => 'passed',
      (error: { code: string }) => error.code,
    ),
  );
  t.same(new Set(await Promise.all(storm)), new Set(['unauthenticated']));
  t.equal(count(), 2);
  await t.resolves(identity.token(signToken(key, honestClaims(clock, { sub: 'bob' })), {}));
});
