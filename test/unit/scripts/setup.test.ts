import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

const root = join(import.meta.dirname, '..', '..', '..');

t.test('leaves packages alone that node_modules is only a link to', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'lockwire-setup-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [checkout, shared] = [join(folder, 'checkout'), join(folder, 'shared')];
  mkdirSync(join(checkout, 'scripts'), { recursive: true });
  mkdirSync(shared);
  writeFileSync(join(shared, 'precious'), 'somebody works with this');
  for (const file of ['scripts/setup.mjs', 'package.json', 'package-lock.json', '.taprc']) {
    copyFileSync(join(root, file), join(checkout, file));
  }
  symlinkSync(shared, join(checkout, 'node_modules'));
  const script = join(checkout, 'scripts', 'setup.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /node_modules is a link to .*shared/);
  t.ok(existsSync(join(shared, 'precious')));
});
