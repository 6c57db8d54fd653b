import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import t from 'tap';
import { parseClientHello } from '../../../lib/wire/client-hello.ts';

/** What Node's own client sends first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ...options });
  client.on('error', () => undefined);
  const [socket] = await once(server, 'connection');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

const modern = await helloOf({
  servername: 'Gateway.Example',
  ALPNProtocols: ['lockwire/1', 'h2'],
  ecdhCurve: 'X25519MLKEM768:X25519',
});

/** The same message over records of `size` bytes (RFC 8446 section 5.1 allows that). */
function fragmented(hello: Buffer, size: number): Buffer {
  const body = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

const expected = { state: 'complete', serverName: 'gateway.example', alpn: ['lockwire/1', 'h2'] };

t.test(
  'reads name and protocols of a 1.7 kB post-quantum hello, of a TLS 1.2 one and of a bare one',
  async t => {
    t.ok(modern.length > 1200, `${modern.length} B`);
    t.same(parseClientHello(modern), expected);
    const old = await helloOf({ servername: 'a.example', maxVersion: 'TLSv1.2' });
    t.same(parseClientHello(old), { state: 'complete', serverName: 'a.example', alpn: [] });
    t.same(parseClientHello(await helloOf({})), { state: 'complete', serverName: '', alpn: [] });
  },
);

t.test('at every split it asks for more than it has, and never beyond what there is', t => {
  for (const hello of [modern, fragmented(modern, 100), fragmented(modern, 1)]) {
    for (let at = 0; at < hello.length; at += 1) {
      const found = parseClientHello(hello.subarray(0, at));
      if (found.state !== 'partial' || found.bytes <= at || found.bytes > hello.length) {
        t.fail(`at ${at} of ${hello.length}: ${JSON.stringify(found)}`);
        break;
      }
    }
    t.same(parseClientHello(hello), expected);
    t.same(
      parseClientHello(Buffer.concat([hello, Buffer.alloc(10, 0xff)])),
      expected,
      'and what follows is not its own',
    );
  }
  t.end();
});

t.test('no change of up to 8 bytes and no random input makes it throw', t => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(modern.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.nat(modern.length),
      (changes, length) => {
        const bytes = Buffer.from(modern.subarray(0, Math.max(length, 1)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const found = parseClientHello(bytes);
        if (found.state === 'partial') return found.bytes > bytes.length;
        return found.state === 'malformed' || /^[a-z0-9_.-]*$/.test(found.serverName);
      },
    ),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), tail => {
      parseClientHello(Buffer.concat([Buffer.from([22, 3, 1, 0, tail.length, 1, 0, 0, tail.length]), tail]));
    }),
    { numRuns: 2000 },
  );
  t.end();
});

/** A hello with these extensions and nothing else. */
function helloWith(...extensions: [number, string][]): Buffer {
  const list = extensions.map(([type, hex]) => {
    const body = Buffer.from(hex, 'hex');
    return Buffer.concat([uint16(type), uint16(body.length), body]);
  });
  const all = Buffer.concat(list);
  const body = Buffer.concat([
    uint16(0x0303),
    Buffer.alloc(32),
    Buffer.from('0000021301', 'hex').subarray(0, 0),
    Buffer.from([0]),
    Buffer.from('00021301', 'hex'),
    Buffer.from([1, 0]),
    uint16(all.length),
    all,
  ]);
  const message = Buffer.concat([Buffer.from([1, 0]), uint16(body.length), body]);
  return Buffer.concat([Buffer.from([22, 3, 1]), uint16(message.length), message]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

const name = (text: string, type = 0): string => {
  const bytes = Buffer.from(text, 'latin1');
  const entry = Buffer.concat([Buffer.from([type]), uint16(bytes.length), bytes]);
  return Buffer.concat([uint16(entry.length), entry]).toString('hex');
};

t.test('refuses two names, odd names, two lists and lengths that lie', t => {
  t.match(parseClientHello(helloWith([0, name('a.example')])), {
    state: 'complete',
    serverName: 'a.example',
  });
  t.match(
    parseClientHello(helloWith([0x0a0a, ''], [0, name('a.example')])),
    { state: 'complete' },
    'GREASE passes',
  );
  const wrong: Record<string, Buffer> = {
    'two server_name extensions': helloWith([0, name('a.example')], [0, name('b.example')]),
    'an empty name': helloWith([0, name('')]),
    'a NUL in the name': helloWith([0, name('a\0.example')]),
    'a name that is not ASCII': helloWith([0, name('\u00e4.example')]),
    'a name of 254 bytes': helloWith([0, name('x'.repeat(254))]),
    'another name type': helloWith([0, name('a.example', 1)]),
    'an empty extension': helloWith([0, '']),
    'a length that passes the end': helloWith([0, 'ffff0000']),
    'two ALPN extensions': helloWith([16, '0003026832'], [16, '0003026832']),
    'an empty ALPN list': helloWith([16, '0000']),
    'an empty protocol': helloWith([16, '000100']),
    'another message': Buffer.from('160301000402000000', 'hex'),
    'an empty record': Buffer.from('1603010000', 'hex'),
    'a record of 16,385 bytes': Buffer.from('1603014001', 'hex'),
    'an alert': Buffer.from('15030100020228', 'hex'),
    'SSL 2': Buffer.from('802e0103', 'hex'),
    'bytes after the extensions': (() => {
      const hello = helloWith([0, name('a.example')]);
      hello.writeUInt16BE(hello.readUInt16BE(50) - 1, 50);
      return hello;
    })(),
  };
  for (const [what, bytes] of Object.entries(wrong))
    t.match(parseClientHello(bytes), { state: 'malformed', reason: String }, what);
  t.end();
});
