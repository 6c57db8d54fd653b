import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lookAtDirectory } from '../../../lib/store/look-at-directory.ts';

t.test('tells whether a store can be kept in a directory, and writes nothing', async t => {
  const scratch = mkdtempSync(join(tmpdir(), 'lw-look-'));
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }));
  const missing = join(scratch, 'not', 'yet');
  t.strictSame(lookAtDirectory(missing), { usable: true, text: `${missing} is made at the first start` });
  const path = join(scratch, 'data');
  mkdirSync(path, { mode: 0o700 });
  t.match(lookAtDirectory(path), { usable: true, text: /is writable, 0700, \d+ MiB are left$/ });
  chmodSync(path, 0o750);
  t.strictSame(lookAtDirectory(path), {
    usable: false,
    text: `others can read ${path} (mode 0750): chmod 700 ${path}`,
  });
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  t.strictSame(lookAtDirectory(file), { usable: false, text: `${file} is no directory` });
  t.strictSame(readdirSync(scratch).sort(), ['data', 'file']);
});
