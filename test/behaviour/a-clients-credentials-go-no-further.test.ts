import t from 'tap';
import { DirectWorld } from '../support/direct-world.ts';
import { type Answer, call, grpcHeaders } from '../support/http2-calls.ts';

const direct = await DirectWorld.make(t);
await direct.expose();

/** What each run of 8 bytes of a secret looks like: plain, hex, and in base64 at any offset. */
function runsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const slide = (text: string, length: number): string[] =>
    Array.from({ length: Math.max(0, text.length - length + 1) }, (_, i) => text.slice(i, i + length));
  const base64 = [0, 1, 2].flatMap(offset =>
    slide(bytes.subarray(offset).toString('base64').slice(0, -4), 11),
  );
  return [...slide(secret, 8), ...slide(bytes.toString('hex'), 16), ...base64];
}

/** All that came back, decoded where the server encoded it. */
function textOf({ headers, trailers, body }: Answer): string {
  const raw = [JSON.stringify(headers), JSON.stringify(trailers), String(body)].join('\n');
  return `${raw}\n${decodeURIComponent(raw.replaceAll(/%(?![0-9a-f]{2})/gi, '%25'))}`;
}

t.test(
  'an upstream that echoes its headers in header, body, error and trailer never had a secret',
  async t => {
    const token = await direct.agent('alice');
    const signature = token.split('.')[2] ?? '';
    const secrets = [signature, 'session-cookie-0123456789', 'cHJveHk6c2VjcmV0LTAxMjM0NTY3ODk='];
    const headers = {
      ...grpcHeaders,
      authorization: `Bearer ${token}`,
      cookie: `id=${secrets[1]}`,
      'proxy-authorization': `Basic ${secrets[2]}`,
      x_lockwire_principal: 'User::corp|root',
      'x-lockwire-principal': 'User::corp|root',
      'x-lockwire-decision': 'forged',
      'x-forwarded-for': '10.1.2.3',
      x_forwarded_for: '10.1.2.3',
      forwarded: 'for=10.1.2.3',
      'x-real-ip': '10.1.2.3',
      'x-passes': 'a word of its own',
    };
    const client = await direct.client();
    for (const authority of ['dialled.example', 'own.example', 'gateway.example']) {
      for (const path of ['/echo.Echo/Headers', '/echo.Echo/Fails']) {
        const answer = await call(
          client,
          { ...headers, ':authority': authority, ':path': path },
          Buffer.alloc(0),
        );
        const text = textOf(answer);
        t.match(text, /x-passes/, `${authority}${path}: honest metadata passes`);
        t.notMatch(
          text,
          /lockwire|forwarded|10\.1\.2\.3|real-ip|corp.root/,
          'nor what only the gateway may say',
        );
        t.notOk(
          secrets.flatMap(runsOf).find(run => text.includes(run)),
          'no run of a secret',
        );
      }
    }
    const { seen } = direct.dialled;
    t.ok(seen.length >= 2);
    t.notOk(JSON.stringify(seen).includes(signature));
    t.notOk(direct.gateway.program.text.includes(signature), 'nor is it in the log');
  },
);
