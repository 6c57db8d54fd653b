/** Calls that a dialect takes: the client's stream goes to it, and it opens streams to the target itself. */
import t from 'tap';
import type { CallEvents, CallStream } from '../../../../lib/core/ports.ts';
import type { ClientCall } from '../../../../lib/relay/http2/client-call.ts';
import type { Verdict } from '../../../../lib/relay/http2/client-relay.ts';
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
