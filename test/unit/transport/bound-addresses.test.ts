import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { boundAddresses } from '../../../lib/transport/bound-addresses.ts';
import { socketTablesReadable } from '../../../lib/transport/socket-table.ts';

t.test(
  'tells loopback, all addresses and IPv6 apart by the machine’s own table, and sees when it ends',
  async t => {
    if (!(await socketTablesReadable())) {
      t.pass('NOT SHOWN: this system has no /proc/net/tcp');
      return;
    }
    const cases: [string, boolean, string[]][] = [
      ['127.0.0.1', true, []],
      ['127.0.0.2', true, []],
      ['0.0.0.0', false, ['0.0.0.0']],
      ['::1', true, []],
      ['::', false, ['::']],
    ];
    for (const [host, loopback, beyond] of cases) {
      const server = createServer().listen({ port: 0, host, ipv6Only: host.includes(':') });
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      t.same(await boundAddresses(port), { loopback, beyond }, host);
      server.close();
      await once(server, 'close');
      t.same(await boundAddresses(port), { loopback: false, beyond: [] }, `${host} closed`);
    }
  },
);

t.test('only rows of the port that listen count', async t => {
  const end = (address: string, port: number) => ({ address, port });
  const rest = { remote: end('0.0.0.0', 0), uid: 0, inode: 1 };
  const rows = [
    { local: end('127.0.0.1', 50_051), state: 'listening', ...rest },
    { local: end('10.0.0.1', 50_051), state: 'established', ...rest },
    { local: end('10.0.0.2', 50_052), state: 'listening', ...rest },
  ] as const;
  const scan: Parameters<typeof boundAddresses>[1] = async take => void rows.some(row => take(row));
  t.same(await boundAddresses(50_051, scan), { loopback: true, beyond: [] });
  t.same(await boundAddresses(50_052, scan), { loopback: false, beyond: ['10.0.0.2'] });
});
