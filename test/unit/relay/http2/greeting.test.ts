import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../../lib/core/ports.ts';
import { Http2Connection } from '../../../../lib/relay/http2/connection.ts';
import { noShare } from '../../../../lib/relay/http2/held-budget.ts';
import { http2Defaults } from '../../../../lib/relay/http2/options.ts';
import { noGrowth } from '../../../../lib/relay/http2/receive-window.ts';
import { pingFrame, settingsFrame } from '../../../../lib/wire/http2/encode.ts';
import { FrameType, preface } from '../../../../lib/wire/http2/frames.ts';
import { TurnedClock } from '../../../support/transport-clock.ts';

/** A server's end of a client's connection. */
class ServerEnd implements ByteStream {
  readonly connection: Http2Connection;
  readonly #written: Buffer[] = [];
  #events: StreamEvents | undefined;

  constructor() {
    const owner = { request() {}, changed() {}, closed() {} };
    const ports = { clock: new TurnedClock(), limits: http2Defaults, pool: noGrowth, held: noShare };
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

  say(frame: Uint8Array): void {
    this.#events?.data(frame);
  }

  open(): void {
    this.connection.open({ headers() {}, data() {}, end() {}, sent() {}, done() {}, cut() {} }, noShare);
  }

  /** Types and flags of the frames behind the preface; undefined where something else comes first. */
  get heard(): string[] | undefined {
    const bytes = Buffer.concat(this.#written);
    if (bytes.length === 0) return [];
    if (!bytes.subarray(0, preface.length).equals(preface)) return undefined;
    const frames: string[] = [];
    for (let at = preface.length; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
      frames.push(`${bytes[at + 3]}:${bytes[at + 4]}`);
    return frames;
  }
}

const settings = `${FrameType.settings}:0`;
const acknowledgement = `${FrameType.settings}:1`;
const widening = `${FrameType.windowUpdate}:0`;

t.test('a server whose SETTINGS come before the first request hears the preface first', async t => {
  const server = new ServerEnd();
  server.say(settingsFrame([]));
  t.same(server.heard, [], 'nothing yet: it may only be looked at');
  server.open();
  t.same(server.heard, [settings, acknowledgement, widening]);
  server.say(settingsFrame([]));
  t.same(server.heard, [settings, acknowledgement, widening, acknowledgement]);
});

t.test('SETTINGS after the first request are acknowledged at once', async t => {
  const server = new ServerEnd();
  server.open();
  t.same(server.heard, [settings, widening]);
  server.say(settingsFrame([]));
  t.same(server.heard, [settings, widening, acknowledgement]);
});

t.test(
  'what is owed before the first request is one acknowledgement: more is answered, preface first',
  async t => {
    const twice = new ServerEnd();
    twice.say(settingsFrame([]));
    twice.say(settingsFrame([]));
    t.same(twice.heard, [settings, acknowledgement, widening, acknowledgement]);
    const pinged = new ServerEnd();
    pinged.say(settingsFrame([]));
    pinged.say(pingFrame(Buffer.alloc(8), false));
    t.same(pinged.heard, [settings, acknowledgement, widening, `${FrameType.ping}:1`]);
  },
);
