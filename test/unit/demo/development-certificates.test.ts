import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import t, { type Test } from 'tap';
import { DevelopmentAuthority } from '../../../lib/demo/development-certificates.ts';

type Names = Parameters<DevelopmentAuthority['issue']>[0];

/** The verdict of Node's TLS on a leaf of the authority, dialled by a name. */
async function verdict(
  t: Test,
  authority: DevelopmentAuthority,
  { names, servername, host = '127.0.0.1' }: { names: Names; servername?: string; host?: string },
): Promise<string> {
  const server = createServer(await authority.issue(names), socket => socket.end());
  server.on('tlsClientError', () => {});
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({
    host,
    port,
    ca: authority.certificate,
    ...(servername !== undefined && { servername }),
  });
  const outcome = Promise.withResolvers<string>();
  socket.once('secureConnect', () => outcome.resolve('accepted'));
  socket.once('error', (error: NodeJS.ErrnoException) => outcome.resolve(`${error.code}: ${error.message}`));
  const result = await outcome.promise;
  socket.destroy();
  return result;
}

t.test(
  'TLS accepts the CA for loopback names and refuses it for every other, wildcard and address',
  async t => {
    const authority = await DevelopmentAuthority.make(Date.now());
    const localhost = { type: 'dns', value: 'localhost' } as const;
    const judge = (names: Names, servername?: string) =>
      verdict(t, authority, { names, ...(servername !== undefined && { servername }) });
    t.equal(await judge([localhost], 'localhost'), 'accepted');
    t.equal(await judge([{ type: 'ip', value: '127.0.0.1' }]), 'accepted');
    const violation = /permitted subtree violation/;
    const foreign = [{ type: 'dns', value: 'idp.example' }] as const;
    t.match(await judge(foreign, 'idp.example'), violation);
    t.match(await judge([localhost, ...foreign], 'localhost'), violation, 'one foreign name spoils all');
    t.match(await judge([{ type: 'dns', value: 'notlocalhost' }], 'notlocalhost'), violation);
    t.match(await judge([{ type: 'dns', value: '*.example' }], 'idp.example'), violation);
    t.match(await judge([{ type: 'ip', value: '127.0.0.2' }]), violation);
    t.match(await judge([{ type: 'ip', value: '192.0.2.1' }]), violation);
  },
);

t.test('TLS accepts ::1, and refuses another IPv6 address', async t => {
  const authority = await DevelopmentAuthority.make(Date.now());
  const judge = (value: string) => verdict(t, authority, { names: [{ type: 'ip', value }] });
  t.match(await judge('::2'), /permitted subtree violation/);
  // Dialled at 127.0.0.1, so a good chain fails only by the name: the constraints let it pass.
  t.match(await judge('::1'), /^ERR_TLS_CERT_ALTNAME_INVALID/);
});

t.test('another authority of the same name, and one whose time is over, are refused', async t => {
  const authority = await DevelopmentAuthority.make(Date.now());
  const names = [{ type: 'dns', value: 'localhost' }] as const;
  const twin = await DevelopmentAuthority.make(Date.now());
  const impostor = {
    certificate: twin.certificate,
    issue: (n: Names) => authority.issue(n),
  } as DevelopmentAuthority;
  t.not(await verdict(t, impostor, { names, servername: 'localhost' }), 'accepted');
  const old = await DevelopmentAuthority.make(Date.now() - 31 * 24 * 60 * 60_000);
  t.match(await verdict(t, old, { names, servername: 'localhost' }), /^CERT_HAS_EXPIRED/);
});
