import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import { silentLog } from '../../../lib/core/ports.ts';
import { type AgentMessage, messageCodec } from '../../../lib/demo/agent-rpc.ts';
import { startAutogenHost } from '../../../lib/demo/autogen-host.ts';
import { agentRpcService, type Incoming } from '../../../lib/demo/service.ts';
import { runTry } from '../../../lib/demo/try-client.ts';
import { formatTryReport, quantile } from '../../../lib/demo/try-report.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

t.test(
  '100 RPCs and 100 publishes of 1 B to 64 KiB through the host: every byte, and nothing is left behind',
  async t => {
    const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
    t.teardown(() => host.close());
    const progress: number[] = [];
    const report = await runTry({ address: host.address, onProgress: done => progress.push(done) });
    t.match(report, { address: host.address, rpcs: 100, publishes: 100 });
    t.equal(report.checkedBytes, 2 * 14 * (1 + 64 + 256 + 1_024 + 4_096 + 16_384 + 65_536) + 2 * (1 + 64));
    t.ok(
      report.rpcMs.p50 > 0 && report.rpcMs.p50 <= report.rpcMs.p99 && report.rpcMs.p99 <= report.rpcMs.max,
    );
    t.same(
      progress,
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    t.match(host.stats(), { requests: 100, responses: 100, events: 100, subscriptions: 0 });
  },
);

t.test('two runs at once on one host do not meet', async t => {
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
  t.teardown(() => host.close());
  const options = { address: host.address, rpcs: 20, publishes: 20 };
  const reports = await Promise.all([runTry(options), runTry(options)]);
  t.match(reports, [{ rpcs: 20 }, { rpcs: 20 }]);
});

t.test('a payload of nearly 4 MiB passes, a larger one is refused before it is sent', async t => {
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
  t.teardown(() => host.close());
  const options = { address: host.address, rpcs: 2, publishes: 2 };
  await runTry({ ...options, sizes: [4 * 1024 * 1024 - 4_096] });
  await t.rejects(runTry({ ...options, sizes: [4 * 1024 * 1024] }), { code: 'usage' });
});

/** A host that answers for the asked worker, after `change`; undefined is silence. */
async function lyingHost(
  t: Test,
  change: (message: AgentMessage) => AgentMessage | undefined,
): Promise<string> {
  const server = new Server();
  const channels = new Set<ServerDuplexStream<Incoming, Buffer>>();
  server.addService(agentRpcService, {
    OpenChannel: (call: ServerDuplexStream<Incoming, Buffer>) => {
      channels.add(call);
      call.on('cancelled', () => channels.delete(call));
      call.on('data', ({ message }: Incoming) => {
        const changed = change(message);
        if (changed) for (const channel of channels) channel.write(messageCodec.encode(changed));
      });
    },
    RegisterAgent: (_call: unknown, callback: (error: null, value: object) => void) => callback(null, {}),
    AddSubscription: (_call: unknown, callback: (error: null, value: object) => void) => callback(null, {}),
    RemoveSubscription: (_call: unknown, callback: (error: null, value: object) => void) =>
      callback(null, {}),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.teardown(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

/** Answers a request itself, with its payload as `flip` leaves it. */
function answered(message: AgentMessage, flip: (data: Buffer) => Buffer): AgentMessage | undefined {
  const { request, cloudEvent } = message;
  if (cloudEvent)
    return { cloudEvent: { ...cloudEvent, binaryData: flip(Buffer.from(cloudEvent.binaryData ?? [])) } };
  if (!request?.payload) return undefined;
  const payload = { ...request.payload, data: flip(Buffer.from(request.payload.data)) };
  return { response: { requestId: request.requestId, payload } };
}

t.test(
  'one bit that differs, a byte that is missing, a doubled event and an error are each told by name',
  async t => {
    const options = { rpcs: 3, publishes: 3, sizes: [1_000] };
    const honest = await lyingHost(t, message => answered(message, data => data));
    t.match(await runTry({ address: honest, ...options }), { rpcs: 3 }, 'the same host, honest');
    const flipped = await lyingHost(t, message =>
      answered(message, data => {
        data[999] = (data[999] ?? 0) ^ 1;
        return data;
      }),
    );
    await t.rejects(runTry({ address: flipped, ...options }), {
      code: 'protocol',
      message: /RPC 1 of 3 .*1000 B that differ from byte 999/,
    });
    const short = await lyingHost(t, message => answered(message, data => data.subarray(0, 999)));
    await t.rejects(runTry({ address: short, ...options }), { message: /received 999 B that differ/ });
    const flippedEvent = await lyingHost(t, message =>
      answered(message, data => (message.cloudEvent ? Buffer.alloc(data.byteLength) : data)),
    );
    await t.rejects(runTry({ address: flippedEvent, ...options }), { message: /published events.*differ/ });
    const renamed = await lyingHost(t, message => {
      const { cloudEvent } = message;
      return cloudEvent
        ? { cloudEvent: { ...cloudEvent, id: '7\u001b[2J' } }
        : answered(message, data => data);
    });
    await t.rejects(runTry({ address: renamed, ...options }), { message: /event 7\\u\{1b\}\[2J came twice/ });
    const failing = await lyingHost(t, ({ request }) =>
      request ? { response: { requestId: request.requestId, error: 'out of paper' } } : undefined,
    );
    await t.rejects(runTry({ address: failing, ...options }), { message: /is an error: out of paper/ });
  },
);

t.test('silence ends after 5 s of the clock, and says what was waited for', async t => {
  const clock = new TurnedClock();
  const address = await lyingHost(t, () => {
    clock.turn(5_000);
    return undefined;
  });
  await t.rejects(runTry({ address, timeoutMs: 5_000, clock }), {
    code: 'timeout',
    message: `${address}: waited 5000 ms in all, last for the answer to RPC 1 of 100 (1 B)`,
  });
});

t.test('a host that stops, an address where nothing listens, and one beyond loopback', async t => {
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
  const stopping = runTry({
    address: host.address,
    onProgress: done => {
      if (done === 5) void host.close();
    },
  });
  await t.rejects(stopping, { code: 'unavailable', message: /the host is stopping/ });
  await t.rejects(runTry({ address: host.address }), {
    code: 'unavailable',
    message: new RegExp(`^no AutoGen host answers at ${host.address}: `),
  });
  await t.rejects(runTry({ address: '192.0.2.1:50051' }), { code: 'usage' });
});

t.test('the report is two lines; quantiles are by nearest rank', t => {
  const lines = formatTryReport({
    address: '127.0.0.1:50051',
    rpcs: 100,
    publishes: 100,
    checkedBytes: 2_444_190,
    rpcMs: { p50: 0.914, p99: 12.34, max: 15 },
    elapsedMs: 412,
  });
  t.same(lines, [
    '100 RPCs and 100 publishes through 127.0.0.1:50051: every byte arrived (2.3 MiB compared)',
    'RPC p50 0.91 ms, p99 12.3 ms, longest 15.0 ms; 0.4 s in all',
  ]);
  const values = Array.from({ length: 100 }, (_, i) => i + 1);
  t.same(
    [quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.5), quantile([], 0.5)],
    [50, 99, 7, 0],
  );
  t.end();
});
