import { randomBytes } from 'node:crypto';
import t from 'tap';
import { quiet, readAll, tunnelPair } from '../../support/tunnel-pair.ts';

for (const cut of ['plain', 'one-byte'] as const) {
  t.test(`carries 300 KiB each way with half-close over a ${cut} carrier`, async t => {
    const { client, gateway } = await tunnelPair({ cut });
    const up = randomBytes(300 * 1024);
    const down = randomBytes(300 * 1024);
    let accepted = false;
    const stream = client.session.open('autogen', 'loopback', () => {
      accepted = true;
    });
    const near = readAll(stream);
    stream.write(up);
    stream.end();
    await quiet(40);
    const { stream: peer, request } = gateway.opened[0]!;
    t.match(request, { target: 'autogen', ingress: 'loopback' });
    const far = readAll(peer);
    peer.accept();
    await far.ended;
    t.ok(accepted, 'the opener hears that it was taken up');
    t.ok(far.bytes().equals(up));
    peer.write(down);
    peer.end();
    await near.ended;
    t.ok(near.bytes().equals(down));
    t.match(await near.closed, { code: 'done' });
    t.match(await far.closed, { code: 'done' });
    t.equal(client.session.streamCount + gateway.session.streamCount, 0);
    await quiet();
    t.match(gateway.pool.promised, { base: 0, growth: 0 }, 'all memory is given back');
  });
}

t.test('a stream whose reader takes nothing stops its writer at the window, and no other stream', async t => {
  const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
  const stuck = client.session.open('autogen', 'loopback');
  const stuckNear = readAll(stuck);
  await quiet();
  const stuckFar = readAll(gateway.opened[0]!.stream, false);
  stuck.write(Buffer.alloc(1024 * 1024));
  await quiet(100);
  t.equal(stuckNear.flushed, 65_536);
  t.equal(stuckFar.bytes().byteLength, 65_536);
  const free = client.session.open('autogen', 'loopback');
  readAll(free);
  await quiet();
  const far = readAll(gateway.opened[1]!.stream);
  const bytes = randomBytes(1024 * 1024);
  free.write(bytes);
  free.end();
  await far.ended;
  t.ok(far.bytes().equals(bytes));
  t.equal(stuckNear.flushed, 65_536);
});

t.test('a reset is seen with its code, text and decision at the other end', async t => {
  const { client, gateway } = await tunnelPair();
  const near = readAll(client.session.open('autogen', 'unix'));
  await quiet();
  gateway.opened[0]!.stream.reset({ code: 'denied', text: 'no', decision: '7f3a' });
  t.same(await near.closed, { code: 'denied', text: 'no', decision: '7f3a' });
});

t.test('a renewed credential is checked and answered in band, and a stream does not notice', async t => {
  const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
  const near = readAll(client.session.open('autogen', 'unix'));
  client.session.renew('d.e.f');
  await quiet();
  t.same(client.renewals, [1_900_000_001_000]);
  t.equal(gateway.session.streamCount, 1);
  gateway.opened[0]!.stream.reset({ code: 'cancelled', text: 'over' });
  t.match(await near.closed, { code: 'cancelled' });
});
