import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../../lib/core/ports.ts';
import { Http2Connection } from '../../../../lib/relay/http2/connection.ts';
import { noShare } from '../../../../lib/relay/http2/held-budget.ts';
import { http2Defaults } from '../../../../lib/relay/http2/options.ts';
import { Outgoing } from '../../../../lib/relay/http2/outgoing.ts';
import { noGrowth } from '../../../../lib/relay/http2/receive-window.ts';
import type { Http2Stream } from '../../../../lib/relay/http2/stream.ts';
import { ErrorCode, FrameType, preface } from '../../../../lib/wire/http2/frames.ts';
import { TurnedClock } from '../../../support/transport-clock.ts';

const limits = { ...http2Defaults, outputMarkBytes: 1_000, maxOutputBytes: 20_000 };
/** About 730 B as it is sent each time. */
const request = new Outgoing([{ name: 'x-large', value: 'x'.repeat(1_000), sensitive: true }]);

/** A connection to a server that reads nothing until it is told to. */
class Unread implements ByteStream {
  readonly connection: Http2Connection;
  changes = 0;
  #written: Buffer[] = [];
  #events: StreamEvents | undefined;

  constructor() {
    const owner = {
      request() {},
      changed: () => {
        this.changes += 1;
      },
      closed() {},
    };
    const ports = { clock: new TurnedClock(), limits, pool: noGrowth, held: noShare };
    this.connection = new Http2Connection('client', this, owner, ports);
    this.connection.start();
  }

  start(events: StreamEvents): void {
    this.#events = events;
  }
  write(chunk: Uint8Array): void {
    this.#written.push(Buffer.from(chunk));
  }
  end(): void {}
  reset(): void {}
  consume(): void {}

  read(bytes: number): void {
    this.#events?.flushed(bytes);
  }

  begin(): Http2Stream {
    const handler = { headers() {}, data() {}, end() {}, sent() {}, done() {}, cut() {} };
    const share = { take: () => true, give() {}, leave() {} };
    const stream = this.connection.open(handler, share);
    stream.begin(request, false);
    return stream;
  }

  /** Type and stream of each frame that belongs to one. */
  get frames(): string[] {
    const bytes = Buffer.concat(this.#written).subarray(preface.length);
    const frames: string[] = [];
    for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
      if (bytes.readUInt32BE(at + 5) > 0) frames.push(`${bytes[at + 3]} ${bytes.readUInt32BE(at + 5)}`);
    return frames;
  }
}

t.test('a request that is reset behind 4,000 B that nobody reads was begun before', t => {
  const unread = new Unread();
  unread.begin().write(Buffer.alloc(4_000));
  unread.begin().reset(ErrorCode.cancel);
  unread.begin();
  // RST_STREAM of a stream that the server never heard of would end the connection for all.
  t.strictSame(unread.frames, [
    `${FrameType.headers} 1`,
    `${FrameType.data} 1`,
    `${FrameType.headers} 3`,
    `${FrameType.rstStream} 3`,
    `${FrameType.headers} 5`,
  ]);
  t.end();
});

t.test(
  'no request is begun behind 10,000 B, half of maxOutputBytes; one that waits is told when some are read',
  t => {
    const unread = new Unread();
    unread.begin();
    t.ok(unread.connection.hasRoom);
    while (unread.connection.writer.unflushedBytes < 10_000) unread.begin();
    t.notOk(unread.connection.hasRoom);
    t.ok(unread.connection.usable);
    const before = unread.changes;
    unread.read(1_000);
    t.ok(unread.connection.hasRoom);
    t.equal(unread.changes, before + 1);
    unread.read(1_000);
    t.equal(unread.changes, before + 1, 'once');
    t.end();
  },
);
