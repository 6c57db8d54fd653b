import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../support/e2e-program.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);

t.test('check says all that is wrong at once, each with file, line, column and a near miss', async t => {
  const good = world.config();
  const fine = await run(['check', good]);
  t.same([fine.code, fine.out, fine.err], [0, `${good}: ok`, '']);

  const bad = world.config({ tls: { minVersion: 'TLSv1.1' }, listener: { handshakeTimout: '5s' } });
  writeFileSync(
    bad,
    readFileSync(bad, 'utf8').replace('"issuer.jwks.json"', '"nowhere.json"').replace('"via"', '"dialect2"'),
  );
  const { code, out, err } = await run(['check', bad]);
  t.equal(code, 2);
  t.equal(out, '');
  const lines = err.split('\n');
  t.ok(lines.length >= 4, err);
  for (const line of lines)
    t.ok(line.startsWith(`${bad}:`) && /^:\d+:\d+ /.test(line.slice(bad.length)), line);
  for (const what of [
    /handshakeTimout.*did you mean "handshakeTimeout"/,
    /minVersion/,
    /nowhere\.json/,
    /dialect2/,
  ])
    t.match(err, what);
  const started = await run(['gateway', '--config', bad]);
  t.equal(started.code, 2, 'the gateway refuses it likewise');
  t.match(started.err, /did you mean "handshakeTimeout"/);
});

t.test('a policy that misspells a target or an issuer is refused by check', async t => {
  const config = world.config({
    policy:
      'permit (principal in Lockwire::Group::"crop/agents", action, resource == Lockwire::Target::"autogn");',
  });
  const { code, err } = await run(['check', config]);
  t.equal(code, 2);
  t.match(err, /corp/);
});

t.test(
  'policy try answers without a gateway: exit 0 for allow, 1 for deny, 2 for a question that is none',
  async t => {
    const config = world.config();
    const ask = (...args: string[]) => run(['policy', 'try', '--config', config, ...args]);
    const [allow, deny, unclear] = await Promise.all([
      ask('--principal', 'user:corp:alice', '--groups', 'agents', '--target', 'autogen'),
      ask(
        '--principal',
        'user:corp:alice',
        '--groups',
        'agents',
        '--action',
        'expose',
        '--target',
        'autogen',
      ),
      ask('--principal', 'alice', '--target', 'autogen'),
    ]);
    t.same([allow.code, allow.out.split('\n')[0]], [0, 'allow (agents)']);
    t.same([deny.code, deny.out.split('\n')[0]], [1, 'deny (default-deny)']);
    t.equal(unclear.code, 2);
    t.match(unclear.err, /principal "alice": expected user:ISSUER:SUB/);
  },
);

t.test(
  'policy try asks for a call with its method, host and path, and knows what no policy is asked',
  async t => {
    const config = world.config();
    const alice = ['--principal', 'user:corp:alice', '--groups', 'agents', '--target', 'autogen'];
    const ask = (...args: string[]) => run(['policy', 'try', '--config', config, ...alice, ...args]);
    const call = (path: string) =>
      ask('--action', 'call', '--method', 'POST', '--host', 'A.example:1', '--path', path);
    const [allow, crooked, partial, astray, misspelt] = await Promise.all([
      call('/agents.AgentRpc/OpenChannel?x=//'),
      call('/agents.AgentRpc/%2e%2e/admin'),
      ask('--action', 'call', '--method', 'POST'),
      ask('--path', '/'),
      ask('--action', 'cal'),
    ]);
    t.same([allow.code, allow.out.split('\n')[0]], [0, 'allow (agents)']);
    for (const [{ code, err }, message] of [
      [
        crooked,
        /path "\/agents.AgentRpc\/%2e%2e\/admin": the path has an escaped dot \(%2e\), and the gateway/,
      ],
      [partial, /the action call needs method, host and path/],
      [astray, /method, host and path belong to the action call, not to connect/],
      [misspelt, /action "cal": expected connect, call, message or expose; did you mean call\?/],
    ] as const) {
      t.equal(code, 2);
      t.match(err, message);
    }
  },
);

t.test('policy try asks for a message as the dialect would, and knows what each operation has', async t => {
  const config = world.config({
    policy: `
@id("is-writer")
permit (principal, action == Lockwire::Action::"message", resource == Lockwire::AgentType::"rpc/writer")
when { context.operation == "register" && context has agentType && context.agentType == "writer" };
@id("hears-writer")
permit (principal, action == Lockwire::Action::"message", resource == Lockwire::TopicType::"rpc/writer:*")
when { context has prefix && context.prefix };`,
  });
  const alice = ['--principal', 'user:corp:alice', '--target', 'rpc', '--action', 'message'];
  const ask = (...args: string[]) => run(['policy', 'try', '--config', config, ...alice, ...args]);
  const about = ['--agent-type', 'writer'];
  const [registers, other, hears, exactly, partial, more, astray, misspelt, none] = await Promise.all([
    ask('--operation', 'register', ...about),
    ask('--operation', 'register', '--agent-type', 'critic'),
    ask('--operation', 'subscribe', '--topic-type', 'writer:', '--prefix', ...about),
    ask('--operation', 'subscribe', '--topic-type', 'writer:', ...about),
    ask('--operation', 'rpc', ...about),
    ask('--operation', 'list', ...about),
    ask('--operation', 'register', '--path', '/', ...about),
    ask('--operation', 'registr', ...about),
    ask(...about),
  ]);
  t.same([registers.code, registers.out.split('\n')[0]], [0, 'allow (is-writer)']);
  t.same([other.code, other.out.split('\n')[0]], [1, 'deny (default-deny)']);
  t.same([hears.code, hears.out.split('\n')[0]], [0, 'allow (hears-writer)']);
  t.same([exactly.code, exactly.out.split('\n')[0]], [1, 'deny (default-deny)']);
  for (const [{ code, err }, message] of [
    [partial, /the operation rpc has agent type and agent key, and no more/],
    [more, /the operation list has nothing else/],
    [astray, /method, host and path belong to the action call, not to message/],
    [misspelt, /operation "registr": expected register, .* or respond; did you mean register\?/],
    [none, /the action message needs an operation/],
  ] as const) {
    t.equal(code, 2);
    t.match(err, message);
  }
});

t.test('policy test asks for messages from a file', async t => {
  const config = world.config();
  const message = { principal: 'user:corp:alice', groups: ['agents'], target: 'rpc', action: 'message' };
  const publish = { ...message, operation: 'publish', topicType: 'news', topicSource: 's' };
  const subscribe = { ...message, operation: 'subscribe', topicType: 'ne', prefix: true, agentType: 'w' };
  const tests = world.file(
    'messages.json',
    JSON.stringify([
      { name: 'a publication', ...publish, expect: 'allow' },
      { name: 'a prefix', ...subscribe, expect: 'allow' },
      { name: 'of nobody', ...publish, groups: [], expect: 'deny' },
    ]),
  );
  const { code, out } = await run(['policy', 'test', '--config', config, tests]);
  t.equal(code, 0);
  t.match(out, /3 passed, 0 failed/);
});

t.test('policy test asks for calls from a file', async t => {
  const config = world.config();
  const who = { principal: 'user:corp:alice', groups: ['agents'], target: 'autogen' };
  const call = { ...who, action: 'call', method: 'POST', host: '127.0.0.1:50051', path: '/a.B/C' };
  const tests = world.file(
    'calls.json',
    JSON.stringify([
      { name: 'a call', ...call, expect: 'allow' },
      { name: 'of nobody', ...call, groups: [], expect: 'deny' },
      { name: 'taken for wrong', ...call, expect: 'deny' },
    ]),
  );
  const { code, out } = await run(['policy', 'test', '--config', config, tests]);
  t.equal(code, 1);
  t.match(out, /ok {5}a call\nok {5}of nobody\nFAILED taken for wrong\n {7}expected deny\nallow \(agents\)/);
  t.match(out, /2 passed, 1 failed/);
});

t.test('the files of init are right but for the keys: the policy loads, and its tests pass', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'lockwire-init-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  t.equal((await run(['init', join(directory, 'new')])).code, 0);
  const [config, tests] = ['gateway.json', 'policy.tests.json'].map(name => join(directory, 'new', name));
  const { code, out } = await run(['policy', 'test', '--config', config ?? '', tests ?? '']);
  t.equal(code, 0);
  t.match(out, /6 passed, 0 failed/);
});

t.test('each command has its --help; what is misspelt is answered with what was meant', async t => {
  const commands = ['up', 'try', 'gateway', 'connect', 'expose', 'check', 'sessions', 'explain', 'policy'];
  await Promise.all(
    commands.map(async name => {
      const { code, out, err } = await run([name, '--help']);
      t.same([code, err], [0, ''], name);
      t.match(out, `usage: lockwire ${name}`);
    }),
  );
  const [overview, bare, version, command, option, missing] = await Promise.all([
    run(['--help']),
    run([]),
    run(['--version']),
    run(['conect']),
    run(['connect', '--tokenfile', 'x']),
    run(['connect', '--gateway', 'localhost:1']),
  ]);
  t.equal(overview.code, 0);
  for (const name of commands) t.match(overview.out, `lockwire ${name}`);
  t.equal(bare.code, 2);
  t.match([version.code, version.out], [0, /^lockwire \d+\.\d+\.\d+ /]);
  t.match([command.code, command.err], [2, /unknown command "conect"; did you mean connect\?/]);
  t.match([option.code, option.err], [2, /unknown option --tokenfile; did you mean --token-file\?/]);
  t.match([missing.code, missing.err], [2, /missing --target NAME/]);
});

t.test('connect takes a secret from its owner only, and listens on loopback only', async t => {
  const token = world.file('open.token', await world.token());
  const base = ['connect', '--gateway', '127.0.0.1:1', '--target', 'autogen'];
  chmodSync(token, 0o644);
  const [readable, beyond, none, pasted] = await Promise.all([
    run([...base, '--listen', '127.0.0.1:0', '--token-file', token]),
    run([...base, '--listen', '0.0.0.0:50051', '--token-file', token]),
    run([...base, '--listen', '127.0.0.1:0']),
    run([...base, '--listen', '127.0.0.1:0', '--token-file', 'eyJhbGciOiJFUzI1NiJ9.secret']),
  ]);
  t.match([readable.code, readable.err], [2, /others can read it \(mode 0644\): chmod 600 \S+open\.token$/]);
  t.match([beyond.code, beyond.err], [2, /not loopback: plaintext never leaves this machine/]);
  t.match([none.code, none.err], [2, /no credential: give --token-file/]);
  t.equal(pasted.code, 2);
  t.notMatch(pasted.err, /secret/, 'a token that was pasted does not come back in the error');
});
