import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { borrowInstanceKey, holdInstanceKey } from '../../../lib/store/instance-key.ts';

t.test('borrows the key that is free, and makes a passing one where there is none or it is held', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'lw-borrow-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'deep', 'instance.key');
  const passing = borrowInstanceKey(path);
  t.equal(passing.own, false);
  t.equal(passing.publicKey.byteLength, 32);
  t.strictSame(readdirSync(directory), [], 'nothing is left behind');

  const held = holdInstanceKey(path);
  t.equal(borrowInstanceKey(path).own, false, 'never the key of a running process');
  held.release();

  const borrowed = borrowInstanceKey(path);
  t.equal(borrowed.own, true);
  t.strictSame(Buffer.from(borrowed.publicKey), Buffer.from(held.publicKey));
  t.throws(() => holdInstanceKey(path), { code: 'unavailable' }, 'and holds it meanwhile');
  borrowed.release();
  holdInstanceKey(path).release();
});
