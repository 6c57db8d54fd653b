import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../lib/core/ports.ts';
import { type CloseReason, done } from '../../../lib/core/session.ts';
import { PrefaceGate } from '../../../lib/relay/preface-gate.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** A stream that the test plays. */
class Played implements ByteStream {
  events: StreamEvents | undefined;
  readonly calls: string[] = [];
  consumed = 0;

  start(events: StreamEvents): void {
    this.events = events;
  }
  write(chunk: Uint8Array): void {
    this.calls.push(`write ${Buffer.from(chunk).toString()}`);
  }
  end(): void {
    this.calls.push('end');
  }
  reset({ code }: CloseReason): void {
    this.calls.push(`reset ${code}`);
  }
  consume(bytes: number): void {
    this.consumed += bytes;
  }
  say(text: string): void {
    this.events?.data(Buffer.from(text, 'latin1'));
  }
}

function heard(gate: PrefaceGate): string[] {
  const lines: string[] = [];
  gate.stream.start({
    data: chunk => lines.push(Buffer.from(chunk).toString('latin1')),
    end: () => lines.push('end'),
    flushed: bytes => lines.push(`flushed ${bytes}`),
    closed: ({ code }) => lines.push(`closed ${code}`),
  });
  return lines;
}

t.test(
  'the 24 bytes of the preface pass however they are cut, with all that follows, and nothing is eaten',
  async t => {
    const text = `${preface}and then some`;
    for (let cut = 1; cut < text.length; cut += 1) {
      const stream = new Played();
      const gate = new PrefaceGate(stream, new TurnedClock());
      stream.say(text.slice(0, cut));
      stream.say(text.slice(cut));
      t.same(await gate.verdict, { kind: 'passed' });
      const lines = heard(gate);
      stream.say('more');
      t.equal(lines.join(''), `${text}more`, `cut at ${cut}`);
    }
    const stream = new Played();
    const gate = new PrefaceGate(stream, new TurnedClock());
    for (const byte of preface) stream.say(byte);
    t.same(await gate.verdict, { kind: 'passed' });
    t.equal(stream.consumed, 0, 'the credit of what is held is the reader’s to give back');
    t.equal(heard(gate).join(''), preface);
  },
);

t.test('after the preface it is the stream itself', async t => {
  const stream = new Played();
  const clock = new TurnedClock();
  const gate = new PrefaceGate(stream, clock);
  stream.say(preface);
  await gate.verdict;
  t.equal(clock.timers, 0);
  stream.say('held');
  stream.events?.end();
  const lines = heard(gate);
  gate.stream.write(Buffer.from('x'));
  gate.stream.consume(28);
  gate.stream.end();
  gate.stream.reset({ code: 'io', text: '' });
  stream.events?.flushed(1);
  stream.events?.closed(done);
  t.same(lines, [preface, 'held', 'end', 'flushed 1', 'closed done']);
  t.same(stream.calls, ['write x', 'end', 'reset io']);
  t.equal(stream.consumed, 28);
});

t.test('what a browser says is refused at the first byte that differs, HTTP/1 with a note', async t => {
  const cases: [string, boolean, RegExp][] = [
    ['GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', true, /HTTP\/1 was spoken/],
    ['POST /agents.AgentRpc/OpenChannel HTTP/1.1\r\n', true, /HTTP\/1 was spoken/],
    ['OPTIONS * HTTP/1.1\r\n', true, /HTTP\/1 was spoken/],
    ['PRI * HTTP/1.1\r\n', true, /HTTP\/1 was spoken/],
    ['GET http://evil.example/ HTTP/1.1\r\n', true, /HTTP\/1 was spoken/],
    ['CONNECT Evil.example:443 HTTP/1.1\r\n', true, /HTTP\/1 was spoken/],
    ['INVALID CONNECTION PREFACE\r\n\r\n', false, /it takes gRPC only/],
    ['PRIx', false, /it takes gRPC only/],
    ['\x16\x03\x01\x02\x00', false, /TLS was spoken to a port on loopback/],
    ['{"json": true}', false, /it takes gRPC only/],
    [preface.replace('SM', 'SN'), false, /it takes gRPC only/],
  ];
  for (const [text, http1, why] of cases) {
    for (const pieces of [[text], [...text]]) {
      const stream = new Played();
      const gate = new PrefaceGate(stream, new TurnedClock());
      for (const piece of pieces) stream.say(piece);
      if (text === 'PRIx') stream.say(' no method has a small letter');
      t.match(
        await gate.verdict,
        { kind: 'refused', reason: { code: 'protocol', text: why } },
        JSON.stringify(text),
      );
      const verdict = await gate.verdict;
      if (!text.startsWith('PRI * HTTP/2')) t.equal(verdict.kind === 'refused' && verdict.http1, http1);
    }
  }
});

t.test(
  'silence is refused after 10 s, half a preface and the end too; who says nothing and goes has left',
  async t => {
    const clock = new TurnedClock();
    const silent = new PrefaceGate(new Played(), clock);
    clock.turn(10_000);
    t.match(await silent.verdict, { kind: 'refused', reason: { code: 'timeout', text: /within 10000 ms/ } });
    const half = new Played();
    const cut = new PrefaceGate(half, clock);
    half.say(preface.slice(0, 23));
    half.events?.end();
    t.match(await cut.verdict, { kind: 'refused', reason: { code: 'protocol' } });
    for (const leave of ['end', 'closed'] as const) {
      const stream = new Played();
      const gate = new PrefaceGate(stream, clock);
      if (leave === 'end') stream.events?.end();
      else stream.events?.closed(done);
      t.same(await gate.verdict, { kind: 'left' });
    }
    t.equal(clock.timers, 0);
  },
);

t.test('who is turned away is answered, read on for 64 KiB and no more, and reset after 2 s', async t => {
  const stream = new Played();
  const clock = new TurnedClock();
  const gate = new PrefaceGate(stream, clock);
  stream.say('POST / HTTP/1.1\r\n');
  t.match(await gate.verdict, { kind: 'refused', http1: true });
  gate.turnAway({ code: 'protocol', text: 'no' });
  t.match(stream.calls, [/^write HTTP\/1.1 400 Bad Request\r\n/, 'end']);
  t.match(stream.calls[0], /\r\nContent-Length: (\d+)\r\n/);
  t.notMatch(stream.calls[0], /access-control/i);
  const [head, body = ''] = stream.calls[0]!.split('\r\n\r\n');
  t.match(head, `Content-Length: ${body.length}\r\n`);
  for (let i = 0; i < 100; i += 1) stream.say('x'.repeat(1024));
  t.ok(stream.consumed > 60_000 && stream.consumed <= 65_536, `${stream.consumed} B given back`);
  clock.turn(2_000);
  t.same(stream.calls.slice(2), ['reset protocol']);
});
