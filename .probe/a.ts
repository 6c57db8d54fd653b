import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { makeAuthority } from '../test/support/transport-certificates.ts';

const ca = await makeAuthority({ name: 'Root' });
const sub = await ca.subordinate({ name: 'Sub' });
const srv = await ca.issue({ dns: ['a.example', 'b.example'] });
const cli = await sub.issue({ uris: ['spiffe://x/y'] });
const keys = randomBytes(48);
const mk = (sid: string) => {
  const s = tls.createServer({
    cert: srv.certPem,
    key: srv.keyPem,
    ca: [ca.certPem],
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ticketKeys: keys,
    sessionIdContext: sid,
    ecdhCurve: 'X25519MLKEM768:X25519',
    ALPNCallback: ({ servername, protocols }) => {
      console.log('alpn', servername, protocols);
      return protocols[0];
    },
  } as tls.TlsOptions);
  s.on('tlsClientError', (e, sock) => {
    console.log('tlsClientError', (e as any).code, e.message);
    sock.destroy();
  });
  s.on('secureConnection', sock => {
    console.log(
      'server: auth',
      sock.authorized,
      sock.authorizationError,
      'reused',
      sock.isSessionReused(),
      'sn',
      sock.servername,
      'alpn',
      sock.alpnProtocol,
      sock.getProtocol(),
      sock.getCipher().name,
    );
    const x = sock.getPeerX509Certificate();
    let n = 0;
    for (let c: any = x; c && n < 5; c = c.issuerCertificate) {
      console.log('  x509 chain', c.subject, c.validTo);
      n++;
    }
    n = 0;
    for (
      let c: any = sock.getPeerCertificate(true);
      c && c.raw && n < 5;
      c = c.issuerCertificate === c ? undefined : c.issuerCertificate
    ) {
      console.log('  peer chain', c.subject?.CN);
      n++;
    }
    sock.on('error', e => console.log('server sock err', (e as any).code));
    sock.on('data', d => {
      console.log('server data', d.toString());
      if (d.toString() === 'rst') {
        (sock as any).raw_.resetAndDestroy();
      }
    });
    sock.on('end', () => {
      console.log('server end');
      sock.end('bye');
    });
    sock.on('close', () => console.log('server close'));
    sock.write('hi');
  });
  return s;
};
const servers: Record<string, tls.Server> = { one: mk('one'), two: mk('two') };
let which = 'one';
const raws: net.Socket[] = [];
const n = net.createServer({ allowHalfOpen: true }, raw => {
  raw.on('error', e => console.log('raw err', (e as any).code));
  raw.on('close', () => console.log('raw close'));
  raw.once('data', d => {
    raw.pause();
    raw.unshift(d);
    const s = servers[which]!;
    s.once('secureConnection', sock => {
      (sock as any).raw_ = raw;
    });
    s.emit('connection', raw);
  });
});
n.listen(0);
await once(n, 'listening');
const port = (n.address() as any).port;
const ctx = tls.createSecureContext({
  ca: [ca.certPem],
  cert: cli.certPem + sub.certPem,
  key: cli.keyPem,
  ecdhCurve: 'X25519MLKEM768:X25519',
});
async function dial(opts: any, say: string) {
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(raw, 'connect');
  const c = tls.connect({
    socket: raw,
    secureContext: ctx,
    ALPNProtocols: ['lockwire/1'],
    allowHalfOpen: true,
    ...opts,
  } as any);
  let session: any;
  c.on('session', s => {
    session = s;
  });
  c.on('error', e => console.log('client err', (e as any).code, e.message));
  c.on('end', () => console.log('client end'));
  c.on('data', d => {
    console.log('client data', d.toString());
    if (say === 'end') {
      say = '';
      c.end();
    } else if (say === 'rst') {
      say = '';
      c.write('rst');
    } else if (say === 'abort') {
      say = '';
      raw.resetAndDestroy();
    } else if (say === 'quit') c.destroy();
  });
  await new Promise<void>(r =>
    c.once('secureConnect', () => {
      console.log('client reused', c.isSessionReused(), c.getEphemeralKeyInfo(), c.getProtocol());
      r();
    }),
  );
  await new Promise(r => c.once('close', r));
  console.log('client closed ----');
  return session;
}
for (const v of ['TLSv1.3', 'TLSv1.2']) {
  const s = await dial({ servername: 'a.example', maxVersion: v }, 'end');
  console.log('== resume same', v);
  await dial({ servername: 'a.example', session: s, maxVersion: v }, 'end');
  console.log('== resume other sni');
  await dial({ servername: 'b.example', session: s, maxVersion: v }, 'end');
  which = 'two';
  console.log('== resume other sid');
  await dial({ servername: 'a.example', session: s, maxVersion: v }, 'end');
  which = 'one';
}
console.log('== rst by server');
await dial({ servername: 'a.example' }, 'rst');
console.log('== rst by client');
await dial({ servername: 'a.example' }, 'abort');
n.close();
