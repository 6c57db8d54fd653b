import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readPin, writePin } from '../../../lib/store/gateway-pin.ts';

t.test('a pin is written 0600 and read back; a wrong, shared or linked one is refused', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'lw-pin-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'connect.key.gateway');
  t.equal(readPin(path), undefined);
  const pin = { key: Buffer.alloc(32, 7), enrolledBy: 'ab'.repeat(16) };
  writePin(path, pin);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readPin(path), pin);
  symlinkSync(path, `${path}.link`);
  t.throws(() => readPin(`${path}.link`), { code: 'config', message: /cannot be read/ });
  chmodSync(path, 0o644);
  t.throws(() => readPin(path), { code: 'config', message: /can be read by others; run: chmod 600/ });
  chmodSync(path, 0o600);
  writeFileSync(path, 'gateway ed25519:00\nenrolled-by \n');
  t.throws(() => readPin(path), {
    code: 'config',
    message: /holds no gateway's key; remove it and enrol again/,
  });
});
