/** Calls that a dialect takes: the client's stream goes to it, and it opens streams to the target itself. */
import { createServer, type ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import type { CallEvents, CallStream } from '../../../../lib/core/ports.ts';
import type { ClientCall } from '../../../../lib/relay/http2/client-call.ts';
import type { Verdict } from '../../../../lib/relay/http2/client-relay.ts';
import { openCall } from '../../../../lib/relay/http2/target-call.ts';
import { ownUpstream } from '../../../../lib/relay/http2/upstreams.ts';
import { ErrorCode } from '../../../../lib/wire/http2/frames.ts';
import { call, grpcHeaders } from '../../../support/http2-calls.ts';
import { startBackend, startRig } from '../../../support/http2-rig.ts';

const field = (name: string, value: string) => ({ name, value, sensitive: false });
const nothing: CallEvents = { headers() {}, data() {}, end() {}, sent() {}, closed() {} };

/** Answers with what it was sent. */
function echo(stream: CallStream): void {
  stream.start({
    ...nothing,
    data: bytes => stream.consume(stream.write(bytes)),
    sent: bytes => stream.consume(bytes),
    end: () => stream.end([field('grpc-status', '0')]),
  });
  stream.sendHeaders([field(':status', '200'), field('content-type', 'application/grpc')], false);
}

t.test(
  '40,000 B that came while a call was judged reach the dialect in order, and no byte stays counted',
  async t => {
    const gate = Promise.withResolvers<void>();
    const backend = await startBackend();
    const rig = await startRig(backend.port, {
      judge: async (_head, forward) => {
        await gate.promise;
        const take = (taken: ClientCall): boolean => {
          echo(taken);
          return true;
        };
        return { ...forward, take } as Verdict;
      },
    });
    t.teardown(async () => {
      await rig.close();
      await backend.close();
    });
    const body = Buffer.alloc(40_000, 'pattern of 17 B..');
    const client = await rig.client();
    const answer = call(client, { ...grpcHeaders, ':path': '/s/m' }, body);
    // All of it has come once its PING is answered.
    await new Promise<void>(resolve => client.ping(() => resolve()));
    t.equal(rig.held.heldBytes, 40_000, 'it is held meanwhile');
    gate.resolve();
    const { body: back, trailers } = await answer;
    t.ok(back.equals(body));
    t.equal(trailers['grpc-status'], '0');
    t.equal(rig.held.heldBytes, 0);
    t.equal(rig.relays[0]?.liveCount, 0);
  },
);

t.test('a header list of 9,000 B stays counted as long as the dialect has the call', async t => {
  const backend = await startBackend();
  const rig = await startRig(backend.port, {
    judge: (_head, forward) => {
      const take = (taken: ClientCall): boolean => {
        echo(taken);
        return true;
      };
      return { ...forward, take } as Verdict;
    },
  });
  t.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  const client = await rig.client();
  const request = client.request({ ...grpcHeaders, ':path': '/s/m', 'x-large': 'x'.repeat(9_000) });
  request.write('some');
  await new Promise(resolve => request.once('data', resolve));
  t.ok(rig.held.heldBytes > 9_000, `${rig.held.heldBytes} B`);
  request.resume();
  request.end();
  await new Promise(resolve => request.once('close', resolve));
  t.equal(rig.held.heldBytes, 0);
  const cut = client.request({ ...grpcHeaders, ':path': '/s/m', 'x-large': 'x'.repeat(9_000) });
  cut.write('some');
  await new Promise(resolve => cut.once('data', resolve));
  t.ok(rig.held.heldBytes > 9_000);
  cut.close(8);
  await new Promise(resolve => cut.once('close', resolve));
  await new Promise<void>(resolve => client.ping(() => resolve()));
  t.equal(rig.held.heldBytes, 0, 'nor is it after a reset');
});

type Forward = Extract<Verdict, { kind: 'forward' }>;

t.test(
  'a dialect’s own request of 16,384 B goes to a target that takes as much, one of 16,385 B is refused with both numbers',
  async t => {
    const seen: number[] = [];
    // Of a client's request the target sees nothing: each one makes the dialect ask for itself.
    const server = createServer({ settings: { maxHeaderListSize: 16_384 } });
    server.on('stream', (stream, headers) => {
      seen.push(String(headers['x-large']).length);
      (stream as ServerHttp2Stream).respond({ ':status': 200 }, { endStream: true });
    });
    const backend = await startBackend(server);
    const outcomes: string[] = [];
    const rig = await startRig(backend.port, {
      shared: { ...ownUpstream, maxConnections: 1 },
      judge: (head, forward) => {
        const take = (taken: ClientCall): boolean => {
          taken.start(nothing);
          void ask(taken, forward as Forward, Number(head.path.slice(1)));
          return true;
        };
        return { ...forward, take } as Verdict;
      },
    });
    t.teardown(async () => {
      await rig.close();
      await backend.close();
    });

    /** Opens a stream to the target with a header list of so many bytes, and tells the client when it is over. */
    async function ask(taken: ClientCall, { upstreams }: Forward, listBytes: number): Promise<void> {
      const fields = [
        field(':method', 'GET'),
        field(':scheme', 'http'),
        field(':authority', 'a'),
        field(':path', '/'),
      ];
      const used = fields.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
      const large = field('x-large', 'x'.repeat(listBytes - used - 'x-large'.length - 32));
      const own = await openCall(upstreams, 'User::test|somebody', taken.held, {
        ...nothing,
        headers: ([status]) => outcomes.push(`status ${status?.value}`),
        closed(cut) {
          if (cut !== undefined) outcomes.push(`${cut.code}: ${cut.text}`);
          taken.sendHeaders([field(':status', '204')], true);
        },
      });
      own.sendHeaders([...fields, large], true);
    }

    const client = await rig.client();
    const tooLarge = `${ErrorCode.enhanceYourCalm}: the request’s header list is 16385 B, the target takes 16384 B`;
    // The first request of a connection may go before the target's settings have come (RFC 9113 section 3.4).
    for (const size of [16_384, 16_385, 16_384, 16_385])
      t.equal((await call(client, { ':path': `/${size}` })).status, 204);
    t.same(outcomes, ['status 200', tooLarge, 'status 200', tooLarge]);
    t.equal(seen.length, 2, 'the target saw the two honest ones and no more');
    t.equal(rig.held.heldBytes, 0);
    t.equal(rig.shared?.connectionCount, 1, 'and none of them cost it its connection');
  },
);
