import t from 'tap';
import { type Log, silentLog } from '../../../lib/core/ports.ts';
import { LocalAdmission } from '../../../lib/local-admission.ts';
import { LocalPeers } from '../../../lib/transport/local-peer.ts';
import type { SocketRow } from '../../../lib/transport/socket-table.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const own = { address: '127.0.0.1', port: 50_051 };
const peer = { address: '127.0.0.1', port: 40_000 };
const row: SocketRow = { local: peer, remote: own, state: 'established', uid: 1001, inode: 7 };

function admission(users: number[] | undefined, rows: readonly SocketRow[]) {
  const lines: string[] = [];
  const log: Log = { ...silentLog, warn: (_, text) => void lines.push(text) };
  const peers = new LocalPeers(async take => void rows.some(take));
  const set = users && new Set(users);
  return { lines, admitted: new LocalAdmission(set, { clock: new TurnedClock(), log, peers }) };
}

t.test(
  'admits the users it is given and no other, root neither; a peer that cannot be told is refused',
  async t => {
    const from = { ingress: 'loopback', peer, own } as const;
    t.ok(await admission([1000, 1001], [row]).admitted.admits(from));
    t.notOk(await admission([1000], [row]).admitted.admits(from));
    t.notOk(await admission([1000], [{ ...row, uid: 0 }]).admitted.admits(from), 'root');
    t.notOk(
      await admission([1000, 0], [{ ...row, uid: 0, inode: 0 }]).admitted.admits(from),
      'nobody’s socket',
    );
    t.notOk(await admission([1000], []).admitted.admits(from), 'gone');
    t.notOk(
      await admission([1000], [row]).admitted.admits({ ingress: 'loopback' }),
      'reset before it was accepted',
    );
  },
);

t.test('a unix socket has its mode; where the system does not tell, all are admitted', async t => {
  t.ok(await admission([1000], []).admitted.admits({ ingress: 'unix' }));
  t.ok(await admission(undefined, []).admitted.admits({ ingress: 'loopback', peer, own }));
});

t.test('1,000 refusals are 10 lines', async t => {
  const { lines, admitted } = admission([1000], [row]);
  for (let i = 0; i < 1000; i += 1) await admitted.admits({ ingress: 'loopback', peer, own });
  t.equal(lines.length, 10);
});
