import t from 'tap';
import { LocalPeers, type LoopbackPair } from '../../../lib/transport/local-peer.ts';
import type { SocketRow } from '../../../lib/transport/socket-table.ts';

const own = { address: '127.0.0.1', port: 50_051 };
const pair = (port: number): LoopbackPair => ({ peer: { address: '127.0.0.1', port }, own });
const row = (port: number, more: Partial<SocketRow> = {}): SocketRow => ({
  local: { address: '127.0.0.1', port },
  remote: own,
  state: 'established',
  uid: 1000,
  inode: 1,
  ...more,
});

/** Looks that the test lets through one by one. */
class Table {
  rows: SocketRow[] = [];
  looks = 0;
  fails = false;
  readonly #held: (() => void)[] = [];

  readonly scan = async (take: (row: SocketRow) => boolean): Promise<void> => {
    this.looks += 1;
    await new Promise<void>(resolve => this.#held.push(resolve));
    if (this.fails) throw new Error('EACCES');
    for (const each of this.rows) if (take(each)) return;
  };

  async look(): Promise<void> {
    this.#held.shift()?.();
    await new Promise(setImmediate);
  }
}

t.test(
  '100 peers that come during one look are answered by one more, and the row is the peer’s, not ours',
  async t => {
    const table = new Table();
    const peers = new LocalPeers(table.scan);
    const first = peers.userOf(pair(1));
    const others = Array.from({ length: 100 }, (_, i) => peers.userOf(pair(i + 2)));
    // Our own socket's row has the ends the other way round.
    table.rows.push({ ...row(1, { uid: 5 }), local: own, remote: { address: '127.0.0.1', port: 1 } });
    for (let port = 1; port <= 101; port += 1) table.rows.push(row(port, { uid: 1000 + port }));
    await table.look();
    t.same(await first, { kind: 'user', uid: 1001 });
    t.equal(table.looks, 2);
    await table.look();
    t.same(
      await Promise.all(others),
      others.map((_, i) => ({ kind: 'user', uid: 1002 + i })),
    );
    t.equal(table.looks, 2);
  },
);

t.test('nothing is remembered: the same port is looked for anew', async t => {
  const table = new Table();
  const peers = new LocalPeers(table.scan);
  for (const uid of [1000, 1001]) {
    table.rows = [row(1, { uid })];
    const user = peers.userOf(pair(1));
    await table.look();
    t.same(await user, { kind: 'user', uid });
  }
});

t.test('a peer that has gone is unknown: Linux shows the socket that nobody holds as root’s', async t => {
  const table = new Table();
  const peers = new LocalPeers(table.scan);
  for (const rows of [
    [],
    [row(1, { uid: 0, inode: 0 })],
    [row(1, { uid: 0, inode: 0, state: 'half-closed' })],
    [row(1, { uid: 0, state: 'other' })],
    [row(1, { local: { address: '127.0.0.2', port: 1 } })],
    [row(1, { remote: { address: '127.0.0.1', port: 50_052 } })],
  ] satisfies SocketRow[][]) {
    table.rows = rows;
    const user = peers.userOf(pair(1));
    await table.look();
    t.match(await user, { kind: 'unknown', why: 'it has closed already' });
  }
});

t.test(
  'a peer that has half-closed and still reads is known; a table that cannot be read makes all unknown',
  async t => {
    const table = new Table();
    const peers = new LocalPeers(table.scan);
    table.rows = [row(1, { state: 'half-closed' })];
    const user = peers.userOf(pair(1));
    await table.look();
    t.same(await user, { kind: 'user', uid: 1000 });
    table.fails = true;
    const unknown = peers.userOf(pair(1));
    await table.look();
    t.same(await unknown, { kind: 'unknown', why: 'EACCES' });
  },
);
