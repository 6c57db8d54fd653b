import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError } from '../../../lib/config/problem.ts';
import { goodConfig, makeConfigFiles } from '../../support/config-files.ts';

const files = await makeConfigFiles();
t.teardown(() => files.remove());

const designExample = `{
  // The example of the design, with comments.
  "listeners": [
    { "name": "public", "bind": "0.0.0.0:8443", "tls": { "cert": "gateway.pem", "key": "gateway.key", "clientCertificates": "optional" } }
  ],
  "identity": {
    "issuers": [ { "name": "corp", "issuer": "https://idp.example", "audience": "lockwire", "token": "access", "groups": "groups" } ],
    "certificates": [ { "name": "workloads", "ca": "ca.pem", "crl": "ca.crl" } ]
  },
  "targets": [
    { "name": "autogen", "dialect": "autogen-rpc", "via": "tunnel" },
    { "name": "legacy",  "protocol": "tcp", "serverNames": ["Legacy.example"], "dial": "tls://10.0.0.5:7443", "ca": "ca.pem" },
  ],
  "policy": { "files": ["policy.cedar"] },
  "limits": { "sessionsPerPrincipal": 64 },
  "store":  { "kind": "embedded", "path": "./data" },
  "admin":  { "bind": "127.0.0.1:9443" },
  "drainTimeout": "10m",
}`;

t.test('the documented example loads: files read, defaults filled in, durations in milliseconds', async t => {
  const loaded = await files.load(designExample);
  t.strictSame(loaded.listeners, [
    {
      name: 'public',
      bind: { host: '0.0.0.0', port: 8443 },
      tls: {
        cert: files.leaf.certPem,
        key: files.leaf.keyPem,
        minVersion: 'TLSv1.3',
        clientCertificates: 'optional',
      },
      handshakeTimeoutMs: 10_000,
      maxUnfinished: 512,
      maxUnfinishedPerSource: 128,
      maxConnections: 10_000,
    },
  ]);
  t.match(loaded.issuers, [
    {
      name: 'corp',
      issuer: 'https://idp.example',
      audience: ['lockwire'],
      token: 'access',
      principal: 'user',
      groups: 'groups',
      maxLifetimeMs: 86_400_000,
      jwks: { kind: 'discovery' },
    },
  ]);
  t.strictSame(
    loaded.certificates.map(({ name, ca }) => [name, ca]),
    [['workloads', files.authority.certPem]],
  );
  t.match(loaded.certificates[0]?.crl, /BEGIN X509 CRL/);
  t.strictSame(loaded.targets, [
    {
      name: 'autogen',
      kind: 'autogen-rpc',
      exclusive: true,
      upstream: { kind: 'tunnel' },
      upstreamMode: 'own',
      hosts: [],
      services: [],
      serverNames: [],
      autogen: {
        maxMessageBytes: { up: 4_194_304, down: 4_194_304 },
        exclusiveWorkers: false,
        requestTimeoutMs: 600_000,
        stallTimeoutMs: 30_000,
      },
    },
    {
      name: 'legacy',
      kind: 'tcp',
      exclusive: false,
      upstream: {
        kind: 'dial',
        host: '10.0.0.5',
        port: 7443,
        serverName: '10.0.0.5',
        ca: files.authority.certPem,
      },
      upstreamMode: 'own',
      hosts: [],
      services: [],
      serverNames: ['legacy.example'],
    },
  ]);
  t.match(loaded.policies, [
    { name: 'policy.cedar', path: join(files.directory, 'policy.cedar'), text: /permit/ },
  ]);
  t.equal(loaded.store.path, join(files.directory, 'data'));
  t.strictSame(loaded.admin, {
    socketPath: join(files.directory, 'data', 'admin.sock'),
    bind: { host: '127.0.0.1', port: 9443 },
  });
  t.equal(loaded.limits.sessionsPerPrincipal, 64);
  t.equal(loaded.drainTimeoutMs, 600_000);
  t.strictSame(loaded.warnings, []);
  t.equal(loaded.development, false);
});

type Config = ReturnType<typeof goodConfig>;

/** What is spoilt, by whom, and the lines that must come of it (places aside). */
const mistakes: readonly [string, (config: Config) => void, ...string[]][] = [
  [
    'a misspelt key',
    c => {
      c.targts = 1;
    },
    'targts: unknown key; did you mean "targets"?',
  ],
  [
    'a key like no other',
    c => {
      c.zzzzzz = 1;
    },
    'zzzzzz: unknown key; expected one of $schema, listeners, identity, targets, policy, limits, store, admin, instances, drainTimeout',
  ],
  [
    'an unknown key whose value may be a secret',
    c => {
      c.listeners[0]!.pasword = 'hunter2';
    },
    'listeners[0].pasword: unknown key; expected one of name, bind, tls, handshakeTimeout, maxUnfinished, maxUnfinishedPerSource, maxConnections',
  ],
  [
    'a choice that is misspelt',
    c => {
      tls(c).clientCertificates = 'requird';
    },
    'listeners[0].tls.clientCertificates: not one of the choices; value "requird"; expected "none" or "optional" or "required"; did you mean "required"?',
  ],
  [
    'a TLS version that is too old',
    c => {
      tls(c).minVersion = 'TLSv1.1';
    },
    'listeners[0].tls.minVersion: not one of the choices; value "TLSv1.1"; expected "TLSv1.3" or "TLSv1.2"; did you mean "TLSv1.3"?',
  ],
  [
    'no listener',
    c => {
      c.listeners = [];
    },
    'listeners: wrong value: an empty list; expected at least one listener',
  ],
  [
    'listeners that are no list',
    c => {
      Object.assign(c, { listeners: {} });
    },
    'listeners: wrong value: an object; expected a list [ … ]',
  ],
  [
    'a listener without TLS',
    c => {
      delete c.listeners[0]!.tls;
    },
    'listeners[0].tls: missing; expected an object { … }',
  ],
  [
    'a listener in plaintext',
    c => {
      c.listeners[0]!.plaintext = { reason: 'lab' };
    },
    'listeners[0].plaintext: this build knows this setting but cannot enforce it yet: remove it',
  ],
  [
    'the PROXY protocol',
    c => {
      c.listeners[0]!.proxyProtocol = { from: ['10.0.0.1'] };
    },
    'listeners[0].proxyProtocol: this build knows this setting but cannot enforce it yet: remove it',
  ],
  [
    'a listener without a name',
    c => {
      delete c.listeners[0]!.name;
    },
    'listeners[0].name: missing; expected a name of 1 to 128 letters, digits, ".", "_" or "-"',
  ],
  [
    'a name with a blank',
    c => {
      c.listeners[0]!.name = 'a b';
    },
    'listeners[0].name: wrong value; value "a b"; expected a name of 1 to 128 letters, digits, ".", "_" or "-"',
  ],
  [
    'a bind by name',
    c => {
      c.listeners[0]!.bind = 'gateway.example:1';
    },
    'listeners[0].bind: wrong value; value "gateway.example:1"; expected an IP address and port such as 0.0.0.0:8443, 127.0.0.1:0 or [::1]:8443',
  ],
  [
    'a timeout without unit',
    c => {
      c.listeners[0]!.handshakeTimeout = 10;
    },
    'listeners[0].handshakeTimeout: wrong value; value 10; expected a duration from "100ms" to "2m", such as "500ms", "30s" or "10m"',
  ],
  [
    'a timeout that is too long',
    c => {
      c.listeners[0]!.handshakeTimeout = '1h';
    },
    'listeners[0].handshakeTimeout: wrong value; value "1h"; expected a duration from "100ms" to "2m", such as "500ms", "30s" or "10m"',
  ],
  [
    'a cap of 0',
    c => {
      c.listeners[0]!.maxUnfinished = 0;
    },
    'listeners[0].maxUnfinished: wrong value; value 0; expected a whole number from 1 to 65536',
  ],
  [
    'a cap with a fraction',
    c => {
      c.listeners[0]!.maxConnections = 1.5;
    },
    'listeners[0].maxConnections: wrong value; value 1.5; expected a whole number from 1 to 1000000',
  ],
  [
    'null',
    c => {
      c.listeners[0]!.bind = null;
    },
    'listeners[0].bind: wrong value: null; expected an IP address and port such as 0.0.0.0:8443, 127.0.0.1:0 or [::1]:8443',
  ],
  [
    'two listeners with a name',
    c => {
      c.listeners.push({ ...c.listeners[0] });
    },
    'listeners[1].name: another listener has this name: listeners[0].name (line 4); value "public"',
  ],
  [
    'two listeners on a port',
    c => {
      c.listeners[0]!.bind = '127.0.0.1:1';
      c.listeners.push({ ...c.listeners[0], name: 'b' });
    },
    'listeners[1].bind: this address is already bound by listeners[0].bind (line 5); value "127.0.0.1:1"',
  ],
  [
    'client certificates without a CA',
    c => {
      tls(c).clientCertificates = 'required';
    },
    'listeners[0].tls.clientCertificates: nothing to verify client certificates against; value "required"; expected an entry in identity.certificates, or "none"',
  ],
  [
    'no identity',
    c => {
      c.identity = {};
    },
    'identity: nobody could be identified, so nothing would be permitted; expected at least one entry in "issuers" or "certificates"',
  ],
  [
    'no identity at all',
    c => {
      Object.assign(c, { identity: undefined });
    },
    'identity: missing; expected an object { … }',
  ],
  [
    'an issuer over http',
    c => {
      issuer(c).issuer = 'http://idp.example';
    },
    'identity.issuers[0].issuer: wrong value; value "http://idp.example"; expected an https:// URL without user, password and fragment',
  ],
  [
    'an issuer with a password',
    c => {
      issuer(c).issuer = 'https://u:hunter2@idp.example';
    },
    'identity.issuers[0].issuer: wrong value; expected an https:// URL without user, password and fragment',
  ],
  [
    'an issuer name with a bar',
    c => {
      issuer(c).name = 'a|b';
    },
    'identity.issuers[0].name: wrong value; value "a|b"; expected a name of 1 to 64 letters, digits, ".", "_" or "-"',
  ],
  [
    'an audience of the wrong kind',
    c => {
      issuer(c).audience = 5;
    },
    'identity.issuers[0].audience: wrong value; value 5; expected a text or a list of texts',
  ],
  [
    'no audience',
    c => {
      delete issuer(c).audience;
    },
    'identity.issuers[0].audience: missing; expected a text or a list of texts',
  ],
  [
    'an empty audience',
    c => {
      issuer(c).audience = [];
    },
    'identity.issuers[0].audience: wrong value: an empty list; expected at least one entry',
  ],
  [
    'a symmetric algorithm',
    c => {
      issuer(c).algorithms = ['HS256'];
    },
    'identity.issuers[0].algorithms[0]: not one of the choices; value "HS256"; expected "ES256" or "ES384" or "ES512" or "PS256" or "PS384" or "PS512" or "RS256" or "RS384" or "RS512" or "EdDSA" or "Ed25519"; did you mean "ES256"?',
  ],
  [
    'keys over http',
    c => {
      issuer(c).jwks = 'http://idp.example/keys';
    },
    'identity.issuers[0].jwks: wrong value; value "http://idp.example/keys"; expected the path of a file or an https:// URL',
  ],
  [
    'two sources of one name',
    c => {
      c.identity.certificates = [{ name: 'corp', ca: 'ca.pem' }];
    },
    'identity.certificates[0].name: another issuer or source of certificates has this name: identity.issuers[0].name (line 15); value "corp"',
  ],
  [
    'one issuer twice',
    c => {
      (c.identity.issuers as unknown[]).push({ ...issuer(c), name: 'b' });
    },
    'identity.issuers[1].issuer: another entry has this issuer: identity.issuers[0].issuer (line 16); value "https://idp.example"',
  ],
  [
    'no target',
    c => {
      c.targets = [];
    },
    'targets: wrong value: an empty list; expected at least one target',
  ],
  [
    'a target without a way',
    c => {
      delete c.targets[0]!.via;
    },
    'targets[0]: neither "via" nor "dial" is given; expected exactly one of them',
  ],
  [
    'a target with two ways',
    c => {
      c.targets[0]!.dial = 'tls://a.example:1';
    },
    'targets[0]: both "via" and "dial" are given; expected exactly one of them',
  ],
  [
    'a target without a protocol',
    c => {
      delete c.targets[0]!.dialect;
    },
    'targets[0]: neither "dialect" nor "protocol" is given; expected exactly one of them',
  ],
  [
    'a target with dialect and protocol',
    c => {
      c.targets[0]!.protocol = 'tcp';
    },
    'targets[0]: both "dialect" and "protocol" are given; expected exactly one of them',
  ],
  [
    'a later dialect',
    c => {
      c.targets[0]!.dialect = 'studio';
    },
    'targets[0].dialect: this build knows the value "studio" but cannot enforce it yet: remove it',
  ],
  [
    'an unknown dialect',
    c => {
      c.targets[0]!.dialect = 'autogen';
    },
    'targets[0].dialect: not one of the choices; value "autogen"; expected "autogen-rpc"',
  ],
  [
    'a message of 1,023 bytes at most',
    c => {
      c.targets[0]!.maxMessageBytes = 1023;
    },
    'targets[0].maxMessageBytes: wrong value; value 1023; expected a whole number of bytes from 1024 to 67108864, or { "up": …, "down": … } of two such',
  ],
  [
    'a message of more than 64 MiB',
    c => {
      c.targets[0]!.maxMessageBytes = { up: 1024, down: 67_108_865 };
    },
    'targets[0].maxMessageBytes.down: wrong value; value 67108865; expected a whole number of bytes from 1024 to 67108864, or { "up": …, "down": … } of two such',
  ],
  [
    'a size as text',
    c => {
      c.targets[0]!.maxMessageBytes = '4 MiB';
    },
    'targets[0].maxMessageBytes: wrong value; value "4 MiB"; expected a whole number of bytes from 1024 to 67108864, or { "up": …, "down": … } of two such',
  ],
  [
    'a direction that is none',
    c => {
      c.targets[0]!.maxMessageBytes = { up: 1024, dwon: 1024 };
    },
    'targets[0].maxMessageBytes.dwon: unknown key; did you mean "down"?',
  ],
  [
    'a size of messages that are not read',
    c => {
      c.targets.push({ name: 'b', protocol: 'grpc', via: 'tunnel', maxMessageBytes: 4_194_304 });
    },
    'targets[1].maxMessageBytes: belongs to a target whose messages are read; expected it beside "dialect": "autogen-rpc"',
  ],
  [
    'a time for responses that are not read',
    c => {
      c.targets.push({ name: 'b', protocol: 'tcp', via: 'tunnel', requestTimeout: '10m' });
    },
    'targets[1].requestTimeout: belongs to a target whose messages are read; expected it beside "dialect": "autogen-rpc"',
  ],
  [
    'a request timeout of no time',
    c => {
      c.targets[0]!.requestTimeout = '999ms';
    },
    'targets[0].requestTimeout: wrong value; value "999ms"; expected a duration from "1s" to "1d", such as "500ms", "30s" or "10m"',
  ],
  [
    'a time to stand still of a target whose messages are not read',
    c => {
      c.targets.push({ name: 'b', protocol: 'grpc', via: 'tunnel', stallTimeout: '30s' });
    },
    'targets[1].stallTimeout: belongs to a target whose messages are read; expected it beside "dialect": "autogen-rpc"',
  ],
  [
    'a time to stand still below 1 s',
    c => {
      c.targets[0]!.stallTimeout = '999ms';
    },
    'targets[0].stallTimeout: wrong value; value "999ms"; expected a duration from "1s" to "10m", such as "500ms", "30s" or "10m"',
  ],
  [
    'a time to stand still over 10 min',
    c => {
      c.targets[0]!.stallTimeout = '601s';
    },
    'targets[0].stallTimeout: wrong value; value "601s"; expected a duration from "1s" to "10m", such as "500ms", "30s" or "10m"',
  ],
  [
    'exclusive beside dial',
    c => {
      c.targets.push({
        name: 'b',
        protocol: 'http2',
        dial: 'tls://a.example:1',
        hosts: ['b'],
        exclusive: true,
      });
    },
    'targets[1].exclusive: belongs to a target that is reached through an expose; expected it beside "via", not beside "dial"',
  ],
  [
    'an upstream in plaintext',
    c => {
      c.targets.push({ name: 'b', protocol: 'tcp', dial: 'tcp://a.example:1' });
    },
    'targets[1].dial: wrong value; value "tcp://a.example:1"; expected tls://HOST:PORT (an upstream is always reached over TLS)',
  ],
  [
    'a CA beside a tunnel',
    c => {
      c.targets[0]!.ca = 'ca.pem';
    },
    'targets[0].ca: belongs to a target that the gateway dials; expected it beside "dial", not beside "via"',
  ],
  [
    'a certificate without its key',
    c => {
      c.targets.push({ name: 'b', protocol: 'tcp', dial: 'tls://a.example:1', cert: 'gateway.pem' });
    },
    'targets[1]: "cert" and "key" go together; expected both or neither',
    'targets[1]: warning: without "serverNames" the target "b" is reached through lockwire connect only',
  ],
  [
    'server names of a dialect',
    c => {
      asking(c);
      c.targets[0]!.serverNames = ['a.example'];
    },
    'targets[0].serverNames: belongs to a target with "protocol": "tcp"; HTTP/2 requests are routed by their authority; expected "hosts"',
  ],
  [
    'server names that nobody could use',
    c => {
      c.targets.push({ name: 'b', protocol: 'tcp', via: 'tunnel', serverNames: ['a.example'] });
    },
    'targets[1].serverNames: TLS clients are known by their certificate, but no listener asks for one; expected a listener with tls.clientCertificates "optional" or "required"',
  ],
  [
    'a server name claimed twice',
    c => {
      asking(c);
      c.targets.push(
        { name: 'b', protocol: 'tcp', via: 'tunnel', serverNames: ['a.example'] },
        { name: 'c', protocol: 'tcp', via: 'tunnel', serverNames: ['A.example'] },
      );
    },
    'targets[2].serverNames[0]: this server name is already claimed by targets[1].serverNames[0] (line 39); value "A.example"',
  ],
  [
    'a server name with a wildcard inside',
    c => {
      asking(c);
      c.targets.push({ name: 'b', protocol: 'tcp', via: 'tunnel', serverNames: ['a.*.example'] });
    },
    'targets[1].serverNames[0]: wrong value; value "a.*.example"; expected a DNS name such as legacy.example or *.legacy.example',
  ],
  [
    'a host claimed by two targets, in another case',
    c => {
      c.targets[0]!.hosts = ['a.example:443'];
      c.targets.push({ name: 'b', protocol: 'grpc', via: 'tunnel', hosts: ['b.example', 'A.example:443'] });
    },
    'targets[1].hosts[1]: this host is already claimed by targets[0].hosts[0] (line 27) (a.example:443); value "A.example:443"',
  ],
  [
    'a host with a port that another target has with any',
    c => {
      c.targets[0]!.hosts = ['a.example', 'a.example:8443'];
      c.targets.push({ name: 'b', protocol: 'http2', via: 'tunnel', hosts: ['a.example:443'] });
    },
    'targets[1].hosts[0]: this host is already claimed by targets[0].hosts[0] (line 27) (a.example); value "a.example:443"',
  ],
  [
    'a host twice in one target',
    c => {
      c.targets[0]!.hosts = ['a.example', 'A.example'];
    },
    'targets[0].hosts[1]: this host is already claimed by targets[0].hosts[0] (line 27) (a.example); value "A.example"',
  ],
  [
    'a host whose clients a server name takes away',
    c => {
      asking(c);
      c.targets[0]!.hosts = ['a.wild.example:443', 'wild.example'];
      c.targets.push({ name: 'b', protocol: 'tcp', via: 'tunnel', serverNames: ['*.Wild.example'] });
    },
    'targets[0].hosts[0]: TLS clients that ask for this host are taken to a tcp target by targets[1].serverNames[0] (line 43); value "a.wild.example:443"; expected another host, or other serverNames there',
  ],
  [
    'hosts that are none',
    c => {
      c.targets[0]!.hosts = ['https://a.example', 'user@a.example', 'a.example:', '*.example'];
    },
    ...['https://a.example', 'user@a.example', 'a.example:', '*.example'].map(
      (host, index) =>
        `targets[0].hosts[${index}]: wrong value; value "${host}"; expected HOST or HOST:PORT such as api.example or api.example:8443`,
    ),
  ],
  [
    'a service claimed twice',
    c => {
      c.targets[0]!.services = ['agents.AgentRpc'];
      c.targets.push({ name: 'b', protocol: 'grpc', via: 'tunnel', services: ['a.B', 'agents.AgentRpc'] });
    },
    'targets[1].services[1]: this service is already claimed by targets[0].services[0] (line 27); value "agents.AgentRpc"',
  ],
  [
    'a service with its method',
    c => {
      c.targets[0]!.services = ['/agents.AgentRpc/OpenChannel'];
    },
    'targets[0].services[0]: wrong value; value "/agents.AgentRpc/OpenChannel"; expected the full name of a gRPC service such as agents.AgentRpc',
  ],
  [
    'what routes requests, at a tcp target',
    c => {
      c.targets.push({
        ...{ name: 'b', protocol: 'tcp', via: 'tunnel' },
        ...{ hosts: ['a.example'], services: ['a.B'], upstream: 'shared' },
      });
    },
    'targets[1].hosts: belongs to a target of HTTP/2 requests, and the requests of a tcp target are not read; expected "protocol": "grpc" or "http2", or "serverNames"',
    'targets[1].services: belongs to a target of HTTP/2 requests, and the requests of a tcp target are not read; expected "protocol": "grpc" or "http2"',
    'targets[1].upstream: belongs to a target of HTTP/2 requests, and the requests of a tcp target are not read; expected "protocol": "grpc" or "http2"',
  ],
  [
    'another way to share',
    c => {
      c.targets[0]!.upstream = 'pooled';
    },
    'targets[0].upstream: not one of the choices; value "pooled"; expected "own" or "shared"',
  ],
  [
    'two targets with a name',
    c => {
      c.targets.push({ ...c.targets[0] });
    },
    'targets[1].name: another target has this name: targets[0].name (line 23); value "autogen"',
  ],
  [
    'no policy',
    c => {
      c.policy = { files: [] };
    },
    'policy.files: wrong value: an empty list; expected at least one policy file',
  ],
  [
    'a policy file that is missing',
    c => {
      c.policy = { files: ['none.cedar'] };
    },
    'policy.files[0]: no such file: ./none.cedar',
  ],
  [
    'a limit of 0',
    c => {
      c.limits = { sessionsPerPrincipal: 0 };
    },
    'limits.sessionsPerPrincipal: wrong value; value 0; expected a whole number from 1 to 100000',
  ],
  [
    'a later store',
    c => {
      c.store = { kind: 'fleet' };
    },
    'store.kind: this build knows the value "fleet" but cannot enforce it yet: remove it',
  ],
  [
    'an admin address beyond loopback',
    c => {
      c.admin = { bind: '0.0.0.0:9443' };
    },
    'admin.bind: beyond loopback the admin address must be TLS and needs a permit, which this build cannot enforce yet; value "0.0.0.0:9443"; expected a loopback address such as 127.0.0.1:9443',
  ],
  [
    'an admin address that a listener has',
    c => {
      c.listeners[0]!.bind = '127.0.0.1:7';
      c.admin = { bind: '127.0.0.1:7' };
    },
    'admin.bind: this address is already bound by listeners[0].bind (line 5); value "127.0.0.1:7"',
  ],
  [
    'an admin socket with a long path',
    c => {
      c.admin = { socket: `/${'x'.repeat(107)}` };
    },
    `admin.socket: the admin socket's path is 108 bytes long, the system takes at most 107: /${'x'.repeat(107)}; expected a shorter "admin.socket"`,
  ],
  [
    'a drain without unit',
    c => {
      c.drainTimeout = '10';
    },
    'drainTimeout: wrong value; value "10"; expected a duration from "0ms" to "1d", such as "500ms", "30s" or "10m"',
  ],
  [
    'masking',
    c => {
      c.masking = {};
    },
    'masking: this build knows this setting but cannot enforce it yet: remove it',
  ],
  [
    'a certificate file that is missing',
    c => {
      tls(c).cert = 'none.pem';
    },
    'listeners[0].tls.cert: no such file: ./none.pem',
  ],
  [
    'a key pasted in place of its path',
    c => {
      tls(c).key = files.leaf.keyPem;
    },
    'listeners[0].tls.key: wrong value; expected the path of a file, not its content',
  ],
];

function tls(config: Config): Record<string, unknown> {
  return config.listeners[0]!.tls as Record<string, unknown>;
}

function issuer(config: Config): Record<string, unknown> {
  return (config.identity.issuers as Record<string, unknown>[])[0]!;
}

/** Makes the listener ask for client certificates, rightly. */
function asking(config: Config): void {
  tls(config).clientCertificates = 'optional';
  config.identity.certificates = [{ name: 'w', ca: 'ca.pem' }];
}

t.test(
  'an HTTP/2 target has its hosts in lower case, its services, and its connections by what it is',
  async t => {
    const config = goodConfig();
    config.targets = [
      { name: 'autogen', dialect: 'autogen-rpc', via: 'tunnel', services: ['agents.AgentRpc'] },
      { name: 'models', protocol: 'grpc', via: 'tunnel', hosts: ['Models.Example', '[2001:DB8::1]:443'] },
      {
        name: 'api',
        protocol: 'http2',
        dial: 'tls://api.internal:443',
        upstream: 'own',
        services: ['a.B', 'C_1'],
      },
      {
        name: 'tool',
        dialect: 'autogen-rpc',
        via: 'tunnel',
        upstream: 'shared',
        hosts: ['a.example:1', 'a.example'],
      },
    ];
    const { targets, warnings } = await files.load(config);
    t.same(
      targets.map(({ kind, exclusive, upstreamMode, hosts, services }) => ({
        ...{ kind, exclusive, upstreamMode, hosts, services },
      })),
      [
        {
          kind: 'autogen-rpc',
          exclusive: true,
          upstreamMode: 'own',
          hosts: [],
          services: ['agents.AgentRpc'],
        },
        {
          ...{ kind: 'grpc', exclusive: false, upstreamMode: 'shared', services: [] },
          hosts: ['models.example', '[2001:db8::1]:443'],
        },
        { kind: 'http2', exclusive: false, upstreamMode: 'own', hosts: [], services: ['a.B', 'C_1'] },
        {
          ...{ kind: 'autogen-rpc', exclusive: true, upstreamMode: 'shared', services: [] },
          hosts: ['a.example:1', 'a.example'],
        },
      ],
    );
    t.same(warnings, []);
  },
);

t.test('an AutoGen target has its sizes by direction, its deadlines, and who is beside it', async t => {
  const config = goodConfig();
  const target = (name: string, more: object) => ({
    ...{ name, dialect: 'autogen-rpc', via: 'tunnel', ...more },
  });
  config.targets = [
    target('both', { maxMessageBytes: 1_024, requestTimeout: '1s', stallTimeout: '1s', exclusive: true }),
    target('two', { maxMessageBytes: { up: 67_108_864, down: 2_048 }, exclusive: false }),
    target('one', { maxMessageBytes: { down: 1_024 }, stallTimeout: '10m' }),
    { ...target('dialled', { via: undefined }), dial: 'tls://a.example:1', hosts: ['a'], exclusive: true },
  ];
  const { targets, warnings } = await files.load(config);
  t.same(
    targets.map(({ exclusive, autogen }) => [exclusive, autogen]),
    (
      [
        [1_024, 1_024, true, 1_000, 1_000],
        [67_108_864, 2_048, false, 600_000, 30_000],
        [4_194_304, 1_024, false, 600_000, 600_000],
        [4_194_304, 4_194_304, true, 600_000, 30_000],
      ] as const
    ).map(([up, down, exclusiveWorkers, requestTimeoutMs, stallTimeoutMs]) => [
      true,
      { maxMessageBytes: { up, down }, exclusiveWorkers, requestTimeoutMs, stallTimeoutMs },
    ]),
  );
  t.same(warnings, []);
});

t.test('a dialled HTTP/2 target without hosts and services is warned of, and loads', async t => {
  const config = goodConfig();
  config.targets.push({ name: 'api', protocol: 'http2', dial: 'tls://api.internal:443' });
  const { warnings } = await files.load(config);
  t.match(warnings, [
    { message: 'without "hosts" or "services" the target "api" is reached through lockwire connect only' },
  ]);
});

t.test('each mistake is said in one line with its path, its value and what was expected', async t => {
  await files.load(goodConfig());
  for (const [what, spoil, ...expected] of mistakes) {
    const config = goodConfig();
    spoil(config);
    const lines = await files.refusal(config);
    t.strictSame(
      lines.map(line => line.replace(/^\.\/gateway\.json:[1-9][0-9]*:[1-9][0-9]* /, '')),
      expected,
      what,
    );
  }
});

t.test('eleven mistakes in one file are all said at once, in its order, with line and column', async t => {
  const lines = await files.refusal(`{
  "listeners": [
    { "name": "public", "bnd": "x", "bind": "0.0.0.0:99999", "tls": { "cert": "nope.pem", "key": "gateway.pem" } },
    { "name": "p2", "bind": "0.0.0.0:8443", "maxUnfinished": 0, "tls": { "cert": "gateway.pem", "key": "gateway.key" } },
  ],
  "targts": [],
  "identity": { "issuers": [] },
  "policy": { "files": ["none.cedar"] },
  "admin": { "bind": "0.0.0.0:1" },
  "drainTimeout": 5,
}`);
  t.strictSame(
    lines.map(line => line.split(': ', 1)[0]),
    [
      './gateway.json:1:1 targets',
      './gateway.json:3:25 listeners[0].bnd',
      './gateway.json:3:45 listeners[0].bind',
      './gateway.json:3:79 listeners[0].tls.cert',
      './gateway.json:3:98 listeners[0].tls.key',
      './gateway.json:4:62 listeners[1].maxUnfinished',
      './gateway.json:6:3 targts',
      './gateway.json:7:15 identity',
      './gateway.json:8:25 policy.files[0]',
      './gateway.json:9:22 admin.bind',
      './gateway.json:10:19 drainTimeout',
    ],
  );
});

t.test(
  'a config that is missing, a directory or 1 byte over 1 MiB is refused, one of 1 MiB is read',
  async t => {
    const { loadGatewayConfig } = await import('../../../lib/config/load-gateway.ts');
    const load = (name: string) => loadGatewayConfig(join(files.directory, name), { nowMs: Date.now() });
    await t.rejects(load('absent.json'), { code: 'config', message: /no such file/ });
    mkdirSync(join(files.directory, 'folder'));
    await t.rejects(load('folder'), { code: 'config', message: /not a file/ });
    const text = JSON.stringify(goodConfig());
    await files.load(text.padEnd(1_048_576));
    t.match(await files.refusal(text.padEnd(1_048_577)), [/file of 1048577 bytes, at most 1048576/]);
    await t.rejects(files.load('[]'), ConfigError);
    await t.rejects(files.load('"text"'), ConfigError);
  },
);

t.test('a secret in a config comes back in no error', async t => {
  const secret = 'hunter2hunter2';
  const config = goodConfig();
  tls(config).key = `-----BEGIN PRIVATE KEY-----\n${secret}`;
  issuer(config).jwks = `https://user:${secret}@idp.example/`;
  issuer(config).clientSecret = secret;
  config.vault = secret;
  config.targets[0]!.password = secret;
  const lines = (await files.refusal(config)).join('\n');
  t.notMatch(lines, secret);
  t.match(lines, /clientSecret: unknown key/);
});

t.test('a policy that cannot be read is said', { skip: process.getuid?.() === 0 }, async t => {
  chmodSync(files.write('locked.cedar', ''), 0);
  t.match(await files.refusal({ ...goodConfig(), policy: { files: ['locked.cedar'] } }), [
    /no permission to read it/,
  ]);
});
