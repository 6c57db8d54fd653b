import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  parseSocketRow,
  type SocketRow,
  scanSocketTables,
  socketTablesReadable,
} from '../../../lib/transport/socket-table.ts';

/** As Linux 6 prints them. */
const established =
  '   7: 0100007F:C35B 0100007F:C383 01 00000000:00000000 00:00000000 00000000  1000        0 500844 1 0000000020c5045e 20 4 30 10 -1';
const mapped =
  '   3: 0000000000000000FFFF00000100007F:8000 0000000000000000FFFF00000100007F:C383 01 00000000:00000000 02:000004A2 00000000 65534        0 501794 2 0000000000000000 20 4 1 10 -1';
const orphan =
  '  12: 0100007F:C35C 0100007F:C383 05 00000000:00000000 03:00001733 00000000     0        0 0 3 0000000000000000';
const six =
  '   0: 00000000000000000000000001000000:C383 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0000000000000000 100 0 0 10 0';

t.test(
  'reads rows of IPv4, IPv6 and IPv4 held by an IPv6 socket, as a little-endian machine prints them',
  async t => {
    t.same(parseSocketRow(established, true), {
      local: { address: '127.0.0.1', port: 50_011 },
      remote: { address: '127.0.0.1', port: 50_051 },
      state: 'established',
      uid: 1000,
      inode: 500_844,
    });
    t.match(parseSocketRow(mapped, true), {
      local: { address: '127.0.0.1', port: 32_768 },
      remote: { address: '127.0.0.1', port: 50_051 },
      uid: 65_534,
    });
    t.match(parseSocketRow(orphan, true), { state: 'half-closed', uid: 0, inode: 0 });
    t.match(parseSocketRow(six, true), { local: { address: '::1', port: 50_051 }, state: 'listening' });
    t.match(parseSocketRow(six, true), { remote: { address: '::', port: 0 } });
    t.match(parseSocketRow(established.replace('0100007F:C35B', '7F000001:C35B'), false), {
      local: { address: '127.0.0.1' },
    });
  },
);

t.test('prints IPv6 addresses as Node does, so that they can be compared', async t => {
  for (const [hex, text] of [
    ['B80D0120000000000000000001000000', '2001:db8::1'],
    ['000080FE00000000FF005450B6AD1EFE', 'fe80::5054:ff:fe1e:adb6'],
    ['B80D0120010000000000000001000000', '2001:db8:0:1::1'],
  ]) {
    const line = six.replace('00000000000000000000000001000000', hex ?? '');
    t.equal(parseSocketRow(line, true)?.local.address, text);
  }
});

t.test('what is no row is passed over, whatever it is', async t => {
  const lines = [
    '',
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    established.slice(0, 60),
    established.replace('0100007F:C35B', '0100007F00:C35B'),
    established.replace(' 1000 ', ' -1 '),
    established.replace('C35B', 'C35'),
    ' '.repeat(100_000),
  ];
  for (const line of lines) t.equal(parseSocketRow(line, true), undefined, JSON.stringify(line.slice(0, 40)));
});

t.test('a table of 3,000 rows is read whole over many steps, and no further than asked', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'lw-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'tcp');
  const rows = Array.from({ length: 3000 }, (_, i) => established.replace(' 500844 ', ` ${i + 1} `));
  writeFileSync(path, ['  sl  local_address', ...rows].join('\n'));
  const seen: SocketRow[] = [];
  await scanSocketTables(row => seen.push(row) === 3000, [path]);
  t.same(
    seen.map(({ inode }) => inode),
    rows.map((_, i) => i + 1),
  );
  let taken = 0;
  await scanSocketTables(() => {
    taken += 1;
    return taken === 5;
  }, [path, path]);
  t.equal(taken, 5, 'stops at once');
  await scanSocketTables(() => false, [join(directory, 'absent'), path]);
});

t.test('where there is no table at all it says so, and a look at it fails', async t => {
  t.notOk(await socketTablesReadable(['/nonexistent/tcp']));
  await t.rejects(
    scanSocketTables(() => false, ['/nonexistent/tcp']),
    { code: 'unavailable' },
  );
});

t.test(
  "finds this process's own connection over IPv4 and over an IPv4 address in an IPv6 socket",
  async t => {
    if (!(await socketTablesReadable())) {
      t.pass('NOT SHOWN: this system has no /proc/net/tcp');
      return;
    }
    const server = createServer(socket => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const host of ['127.0.0.1', '::ffff:127.0.0.1']) {
      const socket = connect({ port, host });
      await once(socket, 'connect');
      const found: SocketRow[] = [];
      await scanSocketTables(row => {
        if (row.local.port === socket.localPort && row.remote.port === port) found.push(row);
        return false;
      });
      t.match(
        found,
        [{ uid: process.getuid?.(), state: 'established', local: { address: '127.0.0.1' } }],
        host,
      );
      t.not(found[0]?.inode, 0);
      socket.destroy();
    }
    server.close();
  },
);
