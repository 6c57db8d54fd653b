import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Clock } from '../../../lib/core/clock.ts';
import { silentLog } from '../../../lib/core/ports.ts';
import { schemaVersion } from '../../../lib/store/database.ts';
import {
  codeLifeMs,
  lookEveryMs,
  maxCodeAttempts,
  maxCodes,
  maxKeptRotations,
  maxReasonChars,
  maxRevocations,
  tokenRevocationMs,
} from '../../../lib/store/options.ts';
import { Store } from '../../../lib/store/store.ts';
import { manualClock } from '../../support/observe-clock.ts';

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lw-store-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'data');
}

function open(t: Test, directory: string, clock: Clock = manualClock()): Store {
  const store = new Store(directory, { clock, log: silentLog });
  t.teardown(() => store.close());
  return store;
}

/** A clock that jumps: its timers never fall due, for a look each 250 ms makes long times long. */
function jumpingClock() {
  const clock = manualClock();
  let jumpedMs = 0;
  return {
    ...clock,
    now: () => clock.now() + jumpedMs,
    advance(ms: number) {
      jumpedMs += ms;
    },
  };
}

/** In one transaction: each of their own would wait for the disk. */
function insertTokens(directory: string, count: number, expiresMs: number, reason = ''): void {
  const raw = new DatabaseSync(join(directory, 'lockwire.db'));
  raw.exec('BEGIN');
  const insert = raw.prepare(
    "INSERT INTO revocations (kind, value, reason, at_ms, expires_ms) VALUES ('token', ?, ?, 0, ?)",
  );
  for (let i = 0; i < count; i += 1) insert.run(`t${i}`, reason, expiresMs + i);
  raw.exec('COMMIT');
  raw.close();
}

const alice = { principal: 'User::corp|alice', role: 'connect', target: '' } as const;

t.test('a store is made 0600 in 0700, with its companions, and refused where others can read it', async t => {
  const directory = scratch(t);
  const store = open(t, directory);
  store.revoke('principal', 'User::corp|bob', 'left');
  t.equal(statSync(directory).mode & 0o777, 0o700);
  const files = readdirSync(directory);
  t.ok(files.includes('lockwire.db') && files.includes('lockwire.db-wal'), files.join(' '));
  for (const file of files) t.equal(statSync(join(directory, file)).mode & 0o777, 0o600, file);
  store.close();
  const file = join(directory, 'lockwire.db');
  chmodSync(file, 0o640);
  t.throws(() => open(t, directory), {
    code: 'config',
    message: /others can read .* \(mode 0640\): chmod 600/,
  });
  chmodSync(file, 0o600);
  chmodSync(directory, 0o750);
  t.throws(() => open(t, directory), {
    code: 'config',
    message: /others can read .* \(mode 0750\): chmod 700/,
  });
  chmodSync(directory, 0o700);
  t.equal(open(t, directory).revocations().length, 1, 'and taken when put right');
  const other = scratch(t);
  mkdirSync(other, { mode: 0o700 });
  symlinkSync(file, join(other, 'lockwire.db'));
  t.throws(() => open(t, other), { code: 'config', message: /is no regular file/ }, 'a link is not followed');
});

t.test('what was confirmed is there after kill -9 in the middle of a thousand writes', async t => {
  const directory = scratch(t);
  const writer = fileURLToPath(new URL('../../support/store-writer.ts', import.meta.url));
  const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let confirmed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    confirmed += chunk.toString();
    if (confirmed.split('\n').length > 40) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const values = confirmed.split('\n').slice(0, -1);
  t.ok(values.length >= 40, `${values.length} were confirmed`);
  const store = open(t, directory);
  for (const value of values)
    if (!store.revoked('token', value)) t.fail(`${value} was confirmed and is gone`);
  const kept = store.revocations().length;
  t.ok(kept >= values.length && kept <= values.length + 2, `${kept} are kept`);
  store.revoke('token', 'one more', '');
  t.ok(store.revoked('token', 'one more'), 'and it takes more');
});

t.test('a revocation by one process is known to another on the same directory within 250 ms', async t => {
  const directory = scratch(t);
  const clock = manualClock();
  const one = open(t, directory, clock);
  const two = open(t, directory, clock);
  let told = 0;
  two.onChange = () => {
    told += 1;
  };
  const before = two.generation;
  one.revoke('instance', 'f'.repeat(64), '');
  t.notOk(two.revoked('instance', 'f'.repeat(64)));
  clock.advance(lookEveryMs);
  t.ok(two.revoked('instance', 'f'.repeat(64)));
  t.equal(told, 1);
  t.equal(two.generation, before + 1);
  clock.advance(lookEveryMs * 4);
  t.equal(told, 1, 'nothing more happened, nothing more is told');
  one.revoke('principal', 'User::corp|carol', '');
  two.issueCode(alice);
  t.ok(two.revoked('principal', 'User::corp|carol'), 'a write of its own brings the other’s with it');
  t.equal(told, 2, 'and says so');
});

t.test(
  'two processes may start at once on an empty directory, and a held lock is waited for, then said',
  async t => {
    const directory = scratch(t);
    const one = open(t, directory);
    const holder = new DatabaseSync(join(directory, 'lockwire.db'), { timeout: 0 });
    holder.exec('BEGIN EXCLUSIVE');
    t.throws(() => one.revoke('token', 'x', ''), {
      code: 'unavailable',
      message: /is locked by another process/,
    });
    t.notOk(one.revoked('token', 'x'), 'what could not be kept is not said to be');
    holder.exec('ROLLBACK');
    holder.close();
    one.revoke('token', 'x', '');
    t.ok(one.revoked('token', 'x'));
  },
);

t.test(
  'a store that is damaged, no database, or of a later version is refused and says what to do',
  async t => {
    const directory = scratch(t);
    const store = open(t, directory);
    for (let i = 0; i < 400; i += 1) store.revoke('token', `token-${i}-${'x'.repeat(64)}`, 'r'.repeat(200));
    store.close();
    const file = join(directory, 'lockwire.db');
    const copy = `${file}.copy`;
    copyFileSync(file, copy);
    const bytes = readFileSync(file);
    bytes.fill(0x5a, 4096 * 3, 4096 * 12);
    writeFileSync(file, bytes);
    t.throws(() => open(t, directory), { code: 'config', message: /is damaged \(.*bring back a copy/ });
    truncateSync(file, 4096 * 5);
    t.throws(() => open(t, directory), { code: 'config', message: /is damaged/ }, 'cut short');
    writeFileSync(file, 'this is no database, but a text that somebody put here'.repeat(100));
    t.throws(() => open(t, directory), { code: 'config', message: /is damaged \(file is not a database/ });
    copyFileSync(copy, file);
    const later = new DatabaseSync(file);
    later.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    later.close();
    t.throws(() => open(t, directory), { code: 'config', message: /is of version 2, this program knows 1/ });
    copyFileSync(copy, file);
    t.equal(open(t, directory).revocations().length, 400, 'the copy is whole');
  },
);

t.test('revocations: by kind and exact value, undone by id, kept once, a token’s for 401 days', async t => {
  const clock = jumpingClock();
  const directory = scratch(t);
  const store = open(t, directory, clock);
  const first = store.revoke('principal', 'User::corp|bob', 'r'.repeat(300));
  t.equal(first.reason.length, maxReasonChars);
  t.equal(store.revoke('principal', 'User::corp|bob', 'again').id, first.id, 'twice is once');
  t.notOk(store.revoked('principal', 'User::corp|bobby'));
  t.notOk(store.revoked('token', 'User::corp|bob'));
  const token = store.revoke('token', 'jti-1', '');
  t.equal(token.expiresAtMs, clock.now() + tokenRevocationMs);
  clock.advance(tokenRevocationMs - 1);
  t.ok(store.revoked('token', 'jti-1'));
  clock.advance(1);
  t.notOk(store.revoked('token', 'jti-1'), 'no token lives that long');
  t.equal(store.revocations().length, 1);
  t.ok(store.revoked('principal', 'User::corp|bob'), 'a principal’s does not run out');
  t.not(store.revoke('token', 'jti-1', '').id, token.id, 'revoked again after it ran out');
  t.ok(store.undoRevocation(first.id));
  t.notOk(store.undoRevocation(first.id));
  t.notOk(store.revoked('principal', 'User::corp|bob'));
  store.close();
  t.same(
    open(t, directory, clock)
      .revocations()
      .map(({ value }) => value),
    ['jti-1'],
  );
});

t.test('of 10,000 revocations the next is refused until some run out', async t => {
  const clock = jumpingClock();
  const directory = scratch(t);
  open(t, directory, clock).close();
  insertTokens(directory, maxRevocations, clock.now() + 1000);
  const store = open(t, directory, clock);
  t.throws(() => store.revoke('principal', 'User::corp|bob', ''), {
    code: 'limit',
    message: /10000 revocations are kept, the limit/,
  });
  t.ok(store.revoked('token', 't9999'), 'those that are there still hold');
  clock.advance(1001);
  store.revoke('principal', 'User::corp|bob', '');
  t.ok(store.revoked('principal', 'User::corp|bob'), 'room again when two have run out');
  t.equal(store.revocations().length, maxRevocations - 1);
});

t.test('a code binds one instance, once, within 10 minutes, however it is typed', async t => {
  const clock = jumpingClock();
  const store = open(t, scratch(t), clock);
  const { code, expiresAtMs } = store.issueCode(alice);
  t.match(code, /^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$/);
  t.equal(expiresAtMs, clock.now() + codeLifeMs);
  const typed = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
  t.match(store.redeemCode(typed, 'key-1', alice), { instance: 'key-1', principal: 'User::corp|alice' });
  t.equal(store.redeemCode(code, 'key-2', alice), 'used', 'a second time');
  const late = store.issueCode(alice);
  clock.advance(codeLifeMs - 1);
  t.equal(store.outstandingCodes(), 1);
  clock.advance(1);
  t.equal(store.redeemCode(late.code, 'key-2', alice), 'used', 'after 10 minutes');
  t.equal(store.redeemCode('00000-00000-00000-00000', 'key-2', alice), 'used', 'one that never was');
  t.same(
    store.enrolments().map(({ instance }) => instance),
    ['key-1'],
  );
  const again = store.issueCode(alice);
  t.equal(store.redeemCode(again.code, 'key-1', alice), 'taken', 'a key that is bound already');
  t.match(
    store.redeemCode(again.code, 'key-2', alice),
    { instance: 'key-2' },
    'which costs the code nothing',
  );
});

t.test('a code is for its principal, role and target; at the fifth wrong bearer it is void', async t => {
  const store = open(t, scratch(t));
  const serve = { principal: 'User::corp|server', role: 'expose', target: 'autogen' } as const;
  const { code } = store.issueCode(serve);
  const wrong = [alice, { ...serve, principal: 'User::corp|x' }, { ...serve, target: 'plain' }];
  for (const bearer of wrong) t.equal(store.redeemCode(code, 'key', bearer), 'other');
  t.match(store.redeemCode(code, 'key', serve), { target: 'autogen' }, 'three wrong bearers later');
  const second = store.issueCode(serve);
  for (let i = 0; i < maxCodeAttempts; i += 1) t.equal(store.redeemCode(second.code, 'k2', alice), 'other');
  t.equal(store.redeemCode(second.code, 'k2', serve), 'used');
});

t.test('at most 256 codes are outstanding, and no 11 characters of one are on the disk', async t => {
  const directory = scratch(t);
  const store = open(t, directory);
  const codes = Array.from({ length: 8 }, () => store.issueCode(alice).code);
  const raw = new DatabaseSync(join(directory, 'lockwire.db'));
  const add = 'INSERT INTO codes SELECT hash || ?, principal, role, target, expires_ms, 0 FROM codes LIMIT 8';
  raw.exec('BEGIN');
  for (let i = 8; i < maxCodes; i += 8) raw.prepare(add).run(`${i}`);
  raw.exec('COMMIT');
  raw.close();
  t.throws(() => store.issueCode(alice), { code: 'limit', message: /256 one-time codes are outstanding/ });
  const files = readdirSync(directory).map(file => readFileSync(join(directory, file)).toString('latin1'));
  for (const code of codes) if (files.some(text => text.includes(code.slice(0, 11)))) t.fail(code);
  t.ok(
    files.some(text => text.includes('User::corp|alice')),
    'what is looked through is the right place',
  );
});

t.test('bindings and key rotations outlive the process; of 70 rotations 64 are kept', async t => {
  const directory = scratch(t);
  const store = open(t, directory);
  store.redeemCode(store.issueCode(alice).code, 'key-1', alice);
  for (let i = 0; i < maxKeptRotations + 6; i += 1) {
    const key = (n: number): Uint8Array => new Uint8Array(32).fill(n);
    store.addRotation({ formerKey: key(i), nextKey: key(i + 1), signature: new Uint8Array(64).fill(i) });
  }
  store.close();
  const again = open(t, directory);
  t.match(again.enrolment('key-1'), alice);
  const rotations = again.rotations();
  t.equal(rotations.length, maxKeptRotations);
  t.equal(rotations[0]?.formerKey[0], 6);
  t.equal(rotations.at(-1)?.nextKey[0], 70);
  t.ok(again.removeEnrolment('key-1'));
  t.notOk(again.removeEnrolment('key-1'));
  t.equal(again.enrolment('key-1'), undefined);
});
