import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../lib/core/ports.ts';
import { type CloseReason, done } from '../../../lib/core/session.ts';
import { ConnectGate } from '../../../lib/relay/connect-gate.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

/** A stream that the test plays, and that holds its reader to the credit it was given. */
class Played implements ByteStream {
  events: StreamEvents | undefined;
  written = '';
  readonly calls: string[] = [];
  outstanding = 0;

  start(events: StreamEvents): void {
    this.events = events;
  }
  write(chunk: Uint8Array): void {
    this.written += Buffer.from(chunk).toString('latin1');
  }
  end(): void {
    this.calls.push('end');
  }
  reset({ code }: CloseReason): void {
    this.calls.push(`reset ${code}`);
  }
  consume(bytes: number): void {
    this.outstanding -= bytes;
    if (this.outstanding < 0) throw new Error(`${-this.outstanding} B more given back than delivered`);
  }
  say(text: string): void {
    this.outstanding += text.length;
    this.events?.data(Buffer.from(text, 'latin1'));
  }
}

const head = 'CONNECT autogen:50051 HTTP/1.0\r\nHost: autogen:50051\r\n\r\n';
const opened = 'HTTP/1.1 200 Connection established\r\n\r\n';

/** A reader that gives back what it got, as a relay does when the other side has flushed it. */
function read(gate: ConnectGate): { text: string; flushed: number; closed: string } {
  const seen = { text: '', flushed: 0, closed: '' };
  gate.stream.start({
    data: chunk => {
      seen.text += Buffer.from(chunk).toString('latin1');
      gate.stream.consume(chunk.byteLength);
    },
    end: () => undefined,
    flushed: bytes => {
      seen.flushed += bytes;
    },
    closed: ({ code }) => {
      seen.closed = code;
    },
  });
  return seen;
}

t.test(
  'wherever the bytes are cut, the reader gets what follows the head, and credit and flushes are its own',
  async t => {
    const text = `${head}PRI * HTTP/2.0`;
    for (let cut = 1; cut < text.length; cut += 1) {
      const stream = new Played();
      const gate = new ConnectGate(stream, new TurnedClock());
      stream.say(text.slice(0, cut));
      stream.say(text.slice(cut));
      t.match(await gate.asked, { kind: 'connect', host: 'autogen', port: 50_051 });
      gate.establish();
      const seen = read(gate);
      gate.stream.write(Buffer.from('answer'));
      t.equal(stream.written, `${opened}answer`);
      // The first of two flushes ends in the middle of our own words.
      stream.events?.flushed(10);
      stream.events?.flushed(opened.length - 10 + 6);
      t.equal(seen.text, 'PRI * HTTP/2.0', `cut at ${cut}`);
      t.equal(seen.flushed, 6);
      t.equal(stream.outstanding, 0);
    }
  },
);

t.test('a client that goes while its way is being opened does no harm', async t => {
  const stream = new Played();
  const gate = new ConnectGate(stream, new TurnedClock());
  stream.say(`${head}early`);
  t.match(await gate.asked, { kind: 'connect' });
  stream.events?.closed({ code: 'io', text: '' });
  gate.establish();
  t.match(read(gate), { text: '', closed: 'io' });
});

t.test(
  'silence is 408 after 10 s, half a head and the end 400; who says nothing and goes has left',
  async t => {
    const clock = new TurnedClock();
    const silent = new Played();
    const gate = new ConnectGate(silent, clock);
    silent.say('CONNECT autogen:1 HTTP/1.1\r\nHo');
    clock.turn(10_000);
    t.match(await gate.asked, { kind: 'refused', status: /^408 / });
    gate.refuse('408 Request Timeout', 'no request', { code: 'cancelled', text: '' });
    t.match(
      silent.written,
      /^HTTP\/1\.1 408 Request Timeout\r\n.*\r\nConnection: close\r\n\r\nno request\n$/s,
    );
    t.same(silent.calls, ['end']);
    clock.turn(2_000);
    t.same(silent.calls, ['end', 'reset cancelled']);
    const half = new Played();
    const cut = new ConnectGate(half, clock);
    half.say('CONNECT autogen:1');
    half.events?.end();
    t.match(await cut.asked, { kind: 'refused', status: /^400 / });
    for (const leave of ['end', 'closed'] as const) {
      const stream = new Played();
      const gone = new ConnectGate(stream, clock);
      if (leave === 'end') stream.events?.end();
      else stream.events?.closed(done);
      t.same(await gone.asked, { kind: 'left' });
    }
    t.equal(clock.timers, 0);
  },
);

t.test('a head of more than 8 KiB is refused, however it comes', async t => {
  for (const piece of [1, 1000, 16_384]) {
    const stream = new Played();
    const gate = new ConnectGate(stream, new TurnedClock());
    const text = `CONNECT autogen:1 HTTP/1.1\r\nX: ${'x'.repeat(16_384)}`;
    for (let at = 0; at < text.length; at += piece) stream.say(text.slice(at, at + piece));
    t.match(await gate.asked, { kind: 'refused', status: /^431 / }, `${piece} B at a time`);
  }
});
